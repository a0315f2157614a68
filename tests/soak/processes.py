"""The process tree below us, read from /proc; every pid may be gone, or somebody else's, a moment later."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

RUNNER = "/trainqueue/runner"
"""In the command line of each runner and nursery."""


def children(pid: int) -> list[int]:
    """Of all its threads; empty when it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += [int(word) for word in (task / "children").read_bytes().split()]
    return found


def below(pid: int) -> list[int]:
    """All descendants."""
    found: list[int] = []
    todo = children(pid)
    while todo:
        found.append(todo.pop())
        todo += children(found[-1])
    return found


def named(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def is_runner(pid: int) -> bool:
    return RUNNER in named(pid)


def runners() -> list[int]:
    """All below us, idle ones and nurseries too."""
    return [pid for pid in below(os.getpid()) if is_runner(pid)]


def nurseries(pids: list[int]) -> list[int]:
    """Those of these that have forked others, also for a daemon that is gone."""
    return [pid for pid in pids if not is_runner(parent(pid)) and any(is_runner(child) for child in children(pid))]


def busy(pids: list[int]) -> list[int]:
    """Those of these that have a job."""
    nursery = nurseries(pids)
    return [pid for pid in pids if pid not in nursery and any(not is_runner(child) for child in children(pid))]


def jobs() -> list[int]:
    """The main processes of jobs: they lead a session below a runner."""
    found = [child for runner in runners() for child in children(runner) if not is_runner(child)]
    return [pid for pid in found if leads(pid)]


def leads(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def kill(pid: int) -> bool:
    """SIGKILL, if it still lives below us; by a pidfd, since numbers are soon given away again."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not is_ours(pid):
            return False
        signal.pidfd_send_signal(fd, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def kill_group(leader: int) -> bool:
    """SIGKILL to the group of one that still lives below us."""
    if leader <= 1 or not is_ours(leader) or not leads(leader):
        return False
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def is_ours(pid: int) -> bool:
    """Whether it descends from us; by its parents, since a list of children may lack some while others die."""
    while pid > 1:
        pid = parent(pid)
        if pid == os.getpid():
            return True
    return False


def parent(pid: int) -> int:
    """0 when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    return int(stat.rpartition(b")")[2].split()[1])
