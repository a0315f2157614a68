"""The job's process tree: nobody may be left.

As a subreaper the runner becomes the parent of every orphan below it, and a living descendant always has a
chain to a direct child. So killing direct children until wait says ECHILD is the proof that none is left,
and it is free of pid reuse, since only this single thread reaps them.
"""

import contextlib
import ctypes
import os
import signal
import time

PR_SET_CHILD_SUBREAPER = 36
LOOKS = 300
"""A millisecond apart: what cannot be stopped (it is root's) must not keep us from all else."""
_libc = ctypes.CDLL(None, use_errno=True)  # once, in the nursery


def become_subreaper() -> None:
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a subreaper")


def identity() -> dict[str, int]:
    """Of this process, and the parent that cleans up after it."""
    return {"pid": os.getpid(), "ticks": start_ticks(os.getpid()), "nursery": os.getppid()}


def start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot. Raises OSError when there is none."""
    with open(f"/proc/{pid}/stat", "rb", 0) as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def deaths() -> int:
    """A descriptor (signalfd) that is readable when children may have died; SIGCHLD must be blocked."""
    mask = (ctypes.c_uint64 * 16)(1 << (signal.SIGCHLD - 1))  # a sigset_t of 1024 bits
    fd: int = _libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "cannot hear of deaths")
    return fd


def children() -> set[int]:
    """The direct ones, zombies included; whole, since only this single thread reaps them."""
    with open(f"/proc/self/task/{os.getpid()}/children", "rb", 0) as file:  # text would import a codec just now
        return {int(child) for child in file.read().split()}


def descendants() -> set[int]:
    """All below us. A parent that forks or dies just now may hide some: who stops them looks until none is new."""
    found, todo = set[int](), children()
    while todo:
        found |= todo
        todo = {child for pid in todo for child in children_of(pid)} - found
    return found


def children_of(pid: int) -> set[int]:
    """Of all its threads; none where it has gone."""
    found = set[int]()
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb", 0) as file:
                found |= {int(child) for child in file.read().split()}
    return found


def stop_all() -> None:
    """Every descendant, those among them that leave the group or the session.

    One that is still on its way to a stop may exit, and what it leaves is ours then, behind our back: it is over when
    nobody moved before the last look, and that look has found nobody new.
    """
    seen, calm = set[int](), False
    for _ in range(LOOKS):
        found = descendants()
        fresh = found - seen
        if calm and not fresh:
            return
        seen |= fresh
        signal_each(fresh, signal.SIGSTOP)
        calm = not fresh and not any(moves(pid) for pid in found)
        if not calm:
            time.sleep(0.001)


def moves(pid: int) -> bool:
    """Whether it may do something yet: it is neither stopped nor dead, nor inside the kernel until somebody else is."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb", 0) as file:
        return file.read().rpartition(b")")[2].split()[0] not in b"TtZXD"
    return False


def continue_all() -> None:
    signal_each(descendants(), signal.SIGCONT)


def signal_each(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill_rest() -> None:
    """Kill every descendant; returns when the kernel says that there is none."""
    while has_children():
        for child in children():
            with contextlib.suppress(ProcessLookupError, PermissionError):  # of another user (sudo): wait for it
                os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def has_children() -> bool:
    """Whether any lives; those that have died are drained, else the kills would grow with the square of them."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def signal_group(leader: int, number: int) -> None:
    if leader > 1:  # a negative pid of 0 or 1 would reach far more than the job
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, number)


def has_group(leader: int) -> bool:
    """Whether a child of ours is still in the job's group; unlike `killpg`, this is not fooled by a reused number."""
    try:
        os.waitid(os.P_PGID, leader, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
