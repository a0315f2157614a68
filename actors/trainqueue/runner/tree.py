"""The job's process tree: nobody may be left.

As a subreaper the runner becomes the parent of every orphan below it, and a living descendant always has a
chain to a direct child. So killing direct children until wait says ECHILD is the proof that none is left,
and it is free of pid reuse, since only this single thread reaps them.
"""

import contextlib
import ctypes
import os
import signal

PR_SET_CHILD_SUBREAPER = 36


_libc = ctypes.CDLL(None, use_errno=True)  # once, in the nursery


def become_subreaper() -> None:
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a subreaper")


def kill_rest() -> None:
    """Kill every descendant; returns when the kernel says that there is none."""
    while has_children():
        with open(f"/proc/self/task/{os.getpid()}/children", "rb", 0) as file:  # text would import a codec just now
            children = file.read().split()
        for child in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # of another user (sudo): wait for it
                os.kill(int(child), signal.SIGKILL)
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


def signal_group(leader: int, number: signal.Signals) -> None:
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
