"""A Unix socket that lets clients in one at a time, and only while descriptors are left for them.

libzmq accepts whoever comes and ends the whole process when there is no descriptor for him (ipc_listener.cpp takes
ENFILE but not EMFILE). Unbinding is no way out: it also ends the connections that were made before. So the listening
socket is ours (ZMQ_USE_FD), and libzmq's epoll watches it with EPOLLONESHOT: armed once, it accepts once. Whoever comes
while there is no room waits in the backlog, and the kernel refuses those for whom even that is too short.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import platform
import re
import resource
import select
import socket as unix
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from trainqueue.errors import TrainqError
from trainqueue.messages.clients import Knock

if TYPE_CHECKING:
    from trainqueue.inbox import Inbox

logger = logging.getLogger(__name__)
BACKLOG = 1024
"""Clients that may wait."""
FEWEST = 128
"""The limit of open files below which a daemon could serve nobody."""
KEPT = 64
"""Descriptors that no client gets: for jobs that start, logs that are read, the journal; a quarter of a low limit."""
AGAIN = 1.0
"""Seconds until somebody who waits is looked at again: not only clients give descriptors back."""
FULL = (
    "%s: new clients wait until others have left, since this process may open only %d files. Running jobs and connected"
    " clients go on. Close clients that are not needed, or start trainqd with a higher limit (ulimit -Hn, in a systemd"
    " unit LimitNOFILE=)"
)
ENTERED = zmq.Event.ACCEPTED | zmq.Event.ACCEPT_FAILED
MODIFY = 3  # EPOLL_CTL_MOD
EVENT = "=IQ" if platform.machine() == "x86_64" else "@IQ"
"""struct epoll_event; it has no padding on x86-64 alone."""
_libc = ctypes.CDLL(None, use_errno=True)


def has_room() -> bool:
    """Whether one more client leaves enough for the daemon itself. The limit may change while we run (prlimit)."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  (it is counted, at every client)
    except OSError:
        return False
    return used < limit - min(KEPT, limit // 4)


class Door:
    """Bound in `__init__`; serves whoever comes once `open` has been called, in the thread of the inbox's actor."""

    def __init__(self, socket: zmq.Socket[bytes], path: Path) -> None:
        """Listens at `path` for this socket, readable by its owner alone. Raises TrainqError naming the path."""
        self.path = path
        self.inbox: Inbox | None = None
        self.entering = False
        """Whether libzmq has been told to accept, and has not yet said that it has."""
        self.waits = False
        """Whether somebody waits until there is room."""
        self.said = False
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit < FEWEST:
            msg = f"this process may open only {limit} files; trainq needs at least {FEWEST} (ulimit -Hn {FEWEST})"
            raise TrainqError(msg)
        temporary = path.with_name(path.name + ".new")
        try:
            self.fd = _listening(temporary)
            socket.setsockopt(zmq.USE_FD, self.fd)
            self.news: zmq.Socket[bytes] = socket.get_monitor_socket(ENTERED | zmq.Event.DISCONNECTED)
            self.news.setsockopt(zmq.RCVHWM, 0)
            socket.bind(f"ipc://{temporary}")
            self.epoll, self.data = self._first_guest(temporary)
            self._arm(0)
            temporary.rename(path)
        except (zmq.ZMQError, OSError) as error:
            msg = f"cannot listen at {path}: {error}"
            raise TrainqError(msg) from error

    def _first_guest(self, path: Path) -> tuple[int, int]:
        """Once libzmq has accepted somebody its epoll watches the socket for good; nobody else knows the path yet."""
        with unix.socket(unix.AF_UNIX) as guest:
            guest.settimeout(5)
            guest.connect(os.fspath(path))
            if not self.news.poll(5000):
                msg = "ZeroMQ accepts nobody"
                raise TimeoutError(msg)
        return _watched(self.fd)

    def _arm(self, events: int) -> None:
        event = struct.pack(EVENT, events | select.EPOLLONESHOT, self.data)
        if _libc.epoll_ctl(self.epoll, MODIFY, self.fd, event):
            raise OSError(ctypes.get_errno(), "cannot let a client in")

    def open(self, inbox: Inbox) -> None:
        self.inbox = inbox
        inbox.watch(self.news.FD, self.look)
        inbox.watch(self.fd, self.look)
        self.look()  # the fd of `news` signals only after somebody has looked in vain

    def look(self) -> None:
        """Somebody knocks, has come in or has left, or `Knock` is due."""
        if self.inbox is None:
            return
        with contextlib.suppress(zmq.Again):
            while True:
                kind, _ = struct.unpack("=hi", self.news.recv_multipart(zmq.NOBLOCK)[0])
                self.entering = self.entering and not kind & ENTERED
        if self.entering:
            return
        if not _readable(self.fd):
            self.inbox.forget(self.fd)
            self.inbox.watch(self.fd, self.look)
        elif has_room():
            self.entering = True
            self.inbox.forget(self.fd)
            self._arm(select.EPOLLIN)
        else:
            self._keep_out(self.inbox)

    def _keep_out(self, inbox: Inbox) -> None:
        inbox.forget(self.fd)
        if not self.waits:
            self.waits = True
            inbox.after(AGAIN, Knock())
        if not self.said:
            self.said = True
            logger.warning(FULL, self.path.name, resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    def knock(self) -> None:
        """The `Knock` that was promised to who waits."""
        self.waits = False
        self.look()

    def close(self) -> None:
        """To be called before the socket is closed, and with it the listening one."""
        if self.inbox is not None:
            self.inbox.forget(self.fd)
            self.inbox.forget(self.news.FD)
            self.inbox = None
        self.news.close(0)


def _listening(path: Path) -> int:
    """A listening socket's descriptor. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    made = unix.socket(unix.AF_UNIX)
    try:
        made.bind(os.fspath(path))
        path.chmod(0o600)
        made.settimeout(0)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made.detach()


def _readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _watched(fd: int) -> tuple[int, int]:
    """The epoll that watches it, and what libzmq has attached to it there, which must stay. Raises OSError."""
    for info in Path("/proc/self/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found = re.search(rf"^tfd:\s+{fd} events:\s+\S+ data:\s+([0-9a-f]+)", info.read_text("ascii"), re.MULTILINE)
            if found:
                return int(info.name), int(found[1], 16)
    msg = "ZeroMQ waits for clients without epoll"
    raise OSError(msg)
