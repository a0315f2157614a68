"""The nursery: a runner that has everything imported and forks others on request.

A fork takes half a millisecond where a fresh interpreter takes eight, so that a row of short jobs does not
wait for its runners. A nursery outlives the daemon as long as one of its runners does, since it cleans up after
those that are killed (runner/nursery.py).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket

from trainqueue.launch.local import PROTOCOL, Runner, launch, receive, start_ticks

PATIENCE = 5.0
"""Seconds for a forked runner to say that it is there."""


class Nursery:
    """Owned by the bench and called from its thread only; started when first needed, and again if it died."""

    def __init__(self, files: int | None = None) -> None:
        """`files` is the limit of open files that jobs get; None: that of this process."""
        self._mode = ["nursery"] if files is None else ["nursery", str(files)]
        self._pid = 0
        self._sock: socket.socket | None = None

    def order(self) -> socket.socket:
        """Our end of a runner that is being forked; `known` waits for it. Raises OSError when none can be had."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._send(theirs)
            ours.setblocking(False)  # noqa: FBT003
        except BaseException:
            ours.close()
            raise
        return ours

    def _send(self, end: socket.socket) -> None:
        for last in (False, True):
            sock = self._sock or self._start()
            try:
                socket.send_fds(sock, [b"fork"], [end.fileno()])
            except OSError:
                self.close()
                if last:
                    raise
            else:
                return

    def _start(self) -> socket.socket:
        """Takes as long as an interpreter needs. What we start says who the nursery is, and goes."""
        starter, sock = launch(*self._mode)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(starter, 0)
        said = receive(sock)
        if not said:
            sock.close()
            msg = "the nursery does not start"
            raise OSError(msg)
        self._pid, self._sock = int(said["nursery"]), sock
        return sock

    def close(self) -> None:
        """It exits when we hang up and its last runner has gone."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def known(ours: socket.socket) -> Runner:
    """The runner at the other end, once it has said its pid. Raises OSError, the socket closed, when it does not."""
    try:
        return _greeted(ours)
    except BaseException:
        ours.close()
        raise


def _greeted(ours: socket.socket) -> Runner:
    poll = select.poll()
    poll.register(ours, select.POLLIN)
    poll.poll(PATIENCE * 1000)
    said = receive(ours)
    if not said:
        msg = "the runner does not start"
        raise OSError(msg)
    if said.get("protocol") != PROTOCOL:
        msg = "trainq has been replaced by another version: restart the daemon (running jobs run on)"
        raise OSError(msg)
    pid = int(said["pid"])
    return Runner(pid, os.pidfd_open(pid), start_ticks(pid), ours)
