"""Processes as /proc knows them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """As /proc/PID/stat has it; `ticks` is its start in clock ticks since boot, which tells it from all others."""

    pid: int
    state: str
    """A letter, as in ps."""
    parent: int
    session: int
    ticks: int


def _fields(pid: int) -> list[bytes]:
    """Of its stat, those after the name; none when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def look(pid: int) -> Process | None:
    """None when there is none."""
    fields = _fields(pid)
    if not fields:
        return None
    return Process(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def tree_ticks(root: int) -> int:
    """Processor time in clock ticks of all that descend from `root`, and of all that they have buried.

    Those that have died count for whoever has waited for them, `root` included; its own time does not count.
    """
    total, todo, seen = 0, [root], {root}
    while todo:
        pid = todo.pop()
        fields = _fields(pid)
        if fields:
            total += sum(map(int, fields[13:15] if pid == root else fields[11:15]))
            fresh = children(pid) - seen
            seen |= fresh
            todo += fresh
    return total


def children(pid: int) -> set[int]:
    """Of all its threads; none where it has gone. What is forked or dies just now may be missing."""
    found = set[int]()
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            found.update(map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split()))
    except OSError:
        pass
    return found


def pids() -> set[int]:
    return {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}  # noqa: PTH208
