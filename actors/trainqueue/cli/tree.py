"""`queue --tree`: jobs below those that they wait for.

A job that waits for several stands in full below the first of them, and is only named below the others. Who waits for
a whole group stands below a line for the group, else ten thousand jobs might have ten thousand parents each.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from trainqueue.cli.screen import table
from trainqueue.core.words import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DEEP = 12
"""Levels that are drawn; what lies deeper says how deep."""
NAMED = 3
HEADS = ("JOB", "STATE", "NAME", "WHY")
Node = int | str
"""A job's id, or a group's name."""
Path = tuple[bool, ...]
"""For each of the last levels, whether that was the last of its siblings."""


def show(jobs: Sequence[dict[str, Any]]) -> None:
    """Running ones first, then the waiting ones in start order; nothing else decides where they stand."""
    table(HEADS, Tree(jobs).rows(), elastic=HEADS.index("NAME"))


class Tree:
    """`below` has, for each job and each group, those that wait for it."""

    def __init__(self, jobs: Iterable[dict[str, Any]]) -> None:
        self.jobs: dict[int, dict[str, Any]] = {job["id"]: job for job in jobs}
        self.below: defaultdict[Node, list[int]] = defaultdict(list)
        self.members: defaultdict[str, list[int]] = defaultdict(list)
        self.roots: list[Node] = []
        self.shown = set[int]()
        for job in self.jobs.values():
            self._place(job)

    def _place(self, job: dict[str, Any]) -> None:
        if job["group"] is not None:
            self.members[job["group"]].append(job["id"])
        parents: list[Node] = [dep for dep in job["waits_for"] if dep in self.jobs]
        for group in job["waits_for_groups"]:
            if group not in self.below:
                self.roots.append(group)
            parents.append(group)
        for parent in parents:
            self.below[parent].append(job["id"])
        if not parents:
            self.roots.append(job["id"])

    def rows(self) -> Iterator[tuple[str, ...]]:
        """In the order in which they are read; no recursion, since chains are long."""
        for root in self.roots:
            todo: list[tuple[Node, int, Path]] = [(root, 0, ())]
            while todo:
                node, depth, path = todo.pop()
                again = node in self.shown
                yield self._row(node, branch(depth, path), again=again)
                if again:
                    continue
                if isinstance(node, int):
                    self.shown.add(node)
                children = self.below.get(node, [])
                near = path[1 - DEEP :]
                todo += [(child, depth + 1, (*near, child == children[-1])) for child in reversed(children)]

    def _row(self, node: Node, drawn: str, *, again: bool) -> tuple[str, ...]:
        if isinstance(node, str):
            return f"{drawn}group {node}", "", self._left(node), ""
        job = self.jobs[node]
        if again:
            return f"{drawn}{node}", "", f"{job['name']} (see above)", ""
        state = "stopping" if job["stopping"] else job["state"]
        return f"{drawn}{node}", state, job["name"], "; ".join(filter(None, [job["why"], self._gone(job)]))

    def _left(self, group: str) -> str:
        members = self.members[group]
        some = ", ".join(map(str, members[:NAMED])) + (", …" if len(members) > NAMED else "")
        return f"{number(len(members), 'job')} of it: {some}" if members else ""

    def _gone(self, job: dict[str, Any]) -> str:
        """Those that it had to wait for, and that have no line, since they have ended."""
        if job["state"] != "queued":
            return ""
        named = {*job["after"], *job["after_any"], *job["after_failed"]} - {*job["waits_for"]}
        over = sorted(dep for dep in named if dep not in self.jobs)
        if not over:
            return ""
        some = ", ".join(map(str, over[:NAMED])) + (f" and {len(over) - NAMED} more" if len(over) > NAMED else "")
        return f"after job {some}, which has ended" if len(over) == 1 else f"after jobs {some}, which have ended"


def branch(depth: int, path: Path) -> str:
    """The lines in front of a job; a chain of thousands does not grow to the right for ever."""
    if not path:
        return ""
    start = f"[{depth}] " if depth > DEEP else ""
    lines = "".join("   " if last else "│  " for last in path[:-1])
    return start + lines + ("└─ " if path[-1] else "├─ ")
