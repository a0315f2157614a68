"""Whose a process on a GPU is: of one of our jobs, or somebody else's.

Ours is what has the mark of a job in its environment or in an ancestor's, or a job's runner as an ancestor: a process
that has shed its environment and its parents is adopted by the runner. What was found out is remembered as long as the
driver lists the process, since it may do so for a while after its death. Whoever cannot be told is foreign.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from trainqueue.core.reading import Process
from trainqueue.gpus.ignore import is_ignored
from trainqueue.launch import processes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from trainqueue.gpus.driver import Listed
    from trainqueue.settings import GpuSettings

LONGEST = 200
"""Characters of a command that are shown."""
DEEPEST = 256
"""Ancestors that are looked at; the tree changes while we climb it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What never changes of a process, and `ticks`, which tell it from another one with its pid."""

    ticks: int
    job: int | None
    user: str | None
    command: str | None
    names: frozenset[str]


class Owners:
    """Of the jobs of one home."""

    def __init__(self, home: Path, settings: GpuSettings) -> None:
        self.settings = settings
        self._jobs = {home / "jobs", Path(os.path.realpath(home)) / "jobs"}
        folders = b"|".join(re.escape(os.fsencode(folder)) for folder in self._jobs)
        self._mark = re.compile(rb"(?:^|\0)TRAINQ_JOB_DIR=(?:" + folders + rb")/(\d{1,18})(?:\0|$)")
        self._runner = re.compile(rb"(?:" + folders + rb")/(\d{1,18})/attempt-\d+")
        self._known: dict[int, Known] = {}
        self.seen, self.unseen = set[int](), set[int]()
        """Pids in the driver's lists that are in our /proc, or have been, and those that are not."""

    def process(self, listed: Listed) -> Process:
        """What the driver has listed, with what is known of it."""
        known = self._look(listed.pid)
        (self.unseen if known is None else self.seen).add(listed.pid)
        if known is None:
            ignored = is_ignored(self.settings, listed, None, ())
            return Process(listed.pid, listed.memory, ignored=ignored)
        ignored = known.job is None and is_ignored(self.settings, listed, known.user, known.names)
        return Process(listed.pid, listed.memory, known.job, known.user, known.command, ignored)

    def keep(self, pids: Collection[int]) -> None:
        """These are all that the driver lists now; the others are forgotten."""
        for pid in self._known.keys() - pids:
            del self._known[pid]
        self.seen.intersection_update(pids)
        self.unseen.intersection_update(pids)

    def _look(self, pid: int) -> Known | None:
        """None where there is no such process for us, and never was."""
        known, now = self._known.get(pid), processes.look(pid)
        if now is None or (known is not None and known.ticks == now.ticks):
            return known
        environment = read(pid, "environ")
        found = Known(now.ticks, self._job(now), user_of(pid), *program(pid))
        if environment or found.job is not None or is_of_another(pid):
            self._known[pid] = found  # else it is about to start or to end, and tells more another time
        return found

    def _job(self, process: processes.Process) -> int | None:
        for ancestor in lineage(process):
            found = self._mark.search(read(ancestor, "environ")) or self._served_by(ancestor)
            if found is not None:
                return int(found[1])
        return None

    def _served_by(self, pid: int) -> re.Match[bytes] | None:
        """A runner holds the folder of its attempt open."""
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as fds:
            for fd in fds:
                if found := self._runner.fullmatch(target(fd.path)):
                    return found
        return None


def lineage(process: processes.Process) -> Iterator[int]:
    """The process and its ancestors, up to this one: above the daemon nothing is a job of its."""
    at: processes.Process | None = process
    for _ in range(DEEPEST):
        if at is None or at.pid in {0, 1, os.getpid()}:
            return
        yield at.pid
        at = processes.look(at.parent)


def target(link: str) -> bytes:
    try:
        return os.readlink(os.fsencode(link))  # noqa: PTH115  (pathlib would take ten times as long)
    except OSError:
        return b""


def read(pid: int, name: str) -> bytes:
    """Of /proc/PID; empty when it has ended, or is not ours to read."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def is_of_another(pid: int) -> bool:
    return not os.access(f"/proc/{pid}/environ", os.R_OK)


def user_of(pid: int) -> str | None:
    found = re.search(rb"^Uid:\s*(\d+)", read(pid, "status"), re.MULTILINE)
    return None if found is None else user_name(int(found[1]))


@lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """Or the bare uid; asked once, since the answer may come over the network."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def program(pid: int) -> tuple[str | None, frozenset[str]]:
    """Its command line, for people, and the names that its program goes by."""
    line, comm = read(pid, "cmdline").decode(errors="replace"), read(pid, "comm").decode(errors="replace").strip()
    words = line.rstrip("\0").split("\0")
    shown = "".join(letter if letter.isprintable() else " " for letter in " ".join(words)).strip() or comm
    if len(shown) > LONGEST:
        shown = shown[: LONGEST - 1] + "…"
    first = words[0].split(" ")[0].rpartition("/")[2]  # some write one long line over their arguments
    return shown or None, frozenset({comm, first} - {""})
