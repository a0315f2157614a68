"""The nursery: forks runners, and cleans up after one that was killed. It lives until its last runner has gone.

As a subreaper it becomes the parent of whatever a killed runner leaves, however that hides; and it has no rightful
children but runners. So it kills all others, and buries a runner only when there are none. A dead runner that its
nursery has not buried is one that is not cleaned up yet, for everybody to see, in this daemon's life or the next's.
"""

import contextlib
import gc
import os
import select
import signal
import socket

import tree


def nurse(own: int) -> int | None:
    """In each child that was asked for: its descriptor. In the nursery itself: None, when nobody needs it any more."""
    tree.become_subreaper()
    gc.freeze()
    orders, deaths = socket.socket(fileno=own), tree.deaths()
    poll = select.poll()
    for fd in (own, deaths):
        poll.register(fd, select.POLLIN)
    runners: set[int] = set()
    serving = True
    while serving or tree.children():
        for fd, _ in poll.poll():
            if fd == deaths:
                os.read(deaths, 4096)
                look_after(runners)
                continue
            end = ordered(orders)
            if end is None:  # the daemon is gone; its running jobs are not
                serving = False
                poll.unregister(own)
                orders.close()
            elif forked(end, runners):
                orders.close()
                os.close(deaths)
                return end
    return None


def ordered(orders: socket.socket) -> int | None:
    """The descriptor for a new runner; None when the daemon has hung up."""
    try:
        _, fds, _, _ = socket.recv_fds(orders, 64, 1)
    except OSError:
        return None
    return fds[0] if fds else None


def forked(end: int, runners: set[int]) -> bool:
    """True in the new runner."""
    with contextlib.suppress(OSError):  # no room for a process: the daemon sees this end closed
        pid = os.fork()
        if pid == 0:
            os.setsid()
            return True
        runners.add(pid)
    os.close(end)
    return False


def look_after(runners: set[int]) -> None:
    """Called at every death. What cannot be ended now (it waits for a disk, it is root's) calls again when it dies.

    Who is dead is asked first: what a runner that dies a moment later leaves is looked at in the next call.
    """
    dead = {pid for pid in runners if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)}
    while left := tree.children() - runners:
        if not [pid for pid in left if ended(pid)]:
            return
    for pid in dead:
        os.waitpid(pid, 0)
    runners -= dead


def ended(pid: int) -> bool:
    """Kill a child; whether it is dead and buried already."""
    with contextlib.suppress(PermissionError):
        os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, os.WNOHANG)[0] == pid
