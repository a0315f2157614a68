"""The selecting inbox: an actor's mailbox, its sockets, its children and its timers behind one epoll.

Given to pykka through `_create_actor_inbox`, it lets an actor wait for everything at once without a second
thread and without polling. Rules: `watch`, `forget`, `after` and `drop` are called from the actor's own
thread only; `get` never raises, because pykka calls it outside its own try and a raise would leave a dead
thread behind a reference that says alive.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import os
import select
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pykka._envelope import Envelope

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)
FAIR = 64
"""Under a flood of messages the sockets are looked at once every so many calls of `get`."""

MOST = 86400.0
"""Seconds of one sleep: epoll counts milliseconds in 32 bits. Whoever wakes early sleeps again."""


class Wake:
    """An eventfd that lives as long as anyone is putting: closed by its finalizer, when the last one lets go."""

    fd = -1

    def __init__(self) -> None:
        """Raises OSError when no descriptor is left."""
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


@dataclass(slots=True)
class Timer:
    """A promise to deliver `message`; `Inbox.drop` takes it back."""

    message: object | None


@dataclass(frozen=True, slots=True)
class ReaderFailed:
    """Delivered when a reader or the look itself has raised: the actor is deaf, so `SelectingActor` lets it crash."""

    error: Exception


class Inbox:
    """pykka's ActorInbox protocol (put, get, empty), plus what to wait for besides messages."""

    def __init__(self) -> None:
        self._wake: Wake | None = Wake()
        self._wake_fd = self._wake.fd
        self._queue: deque[Envelope[Any]] = deque()
        self._epoll = select.epoll()
        self._epoll.register(self._wake_fd, select.EPOLLIN)
        self._readers: dict[int, Callable[[], object | None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._calls = 0
        self._asleep = False
        """Only a sleeper must be woken: a write to an eventfd gives the interpreter lock away."""
        self.thread: threading.Thread | None = None
        """The actor's, once it runs: what to join to be sure that it has ended."""

    # -- any thread

    def put(self, item: Envelope[Any], /) -> None:
        self._queue.append(item)
        wake = self._wake  # held until the write is done, whatever `close` does meanwhile
        if self._asleep and wake is not None:
            os.eventfd_write(wake.fd, 1)

    def empty(self) -> bool:
        return not self._queue

    # -- the actor's own thread

    def watch(self, fd: int, read: Callable[[], object | None]) -> None:
        """Call `read` whenever `fd` is readable; what it returns (unless None) is delivered as a message."""
        self._readers[fd] = read
        self._epoll.register(fd, select.EPOLLIN)

    def forget(self, fd: int) -> None:
        if self._readers.pop(fd, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)

    def after(self, seconds: float, message: object) -> Timer:
        timer = Timer(message)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def drop(self, timer: Timer | None) -> None:
        if timer is not None:
            timer.message = None

    def get(self) -> Envelope[Any]:
        self.thread = self.thread or threading.current_thread()
        while True:
            self._due()
            self._calls += 1
            if not self._queue or (self._calls % FAIR == 0 and self._wake is not None):
                try:
                    self._look()
                except Exception as error:  # noqa: BLE001  (see the rule above: it is delivered instead)
                    self._queue.append(Envelope(ReaderFailed(error)))
            if self._queue:
                return self._queue.popleft()

    def close(self) -> None:
        """Let go of everything; messages may still be put, and those in the queue be got (pykka drains it)."""
        self._wake = None
        self._readers.clear()
        self._timers.clear()
        self._epoll.close()

    def _due(self) -> None:
        now = time.monotonic()
        while self._timers and (self._timers[0][0] <= now or self._timers[0][2].message is None):
            message = heapq.heappop(self._timers)[2].message
            if message is not None:
                self._queue.append(Envelope(message))

    def _look(self) -> None:
        self._asleep = True  # before the look at the queue: whoever puts after it writes to the eventfd
        wait = -1.0
        if self._queue:
            wait = 0
        elif self._timers:
            wait = min(MOST, max(0.0, self._timers[0][0] - time.monotonic()))
        found: list[object] = []
        ready = self._epoll.poll(wait)
        self._asleep = False
        for fd, _ in ready:
            if fd == self._wake_fd:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(fd)
            elif (message := self._read(fd)) is not None:
                found.append(message)
        # In front of the messages: behind a flood they would wait as long as if nobody had looked.
        self._queue.extendleft(Envelope(message) for message in reversed(found))

    def _read(self, fd: int) -> object | None:
        reader = self._readers.get(fd)
        if reader is None:
            return None
        try:
            return reader()
        except Exception as error:
            # A reader that fails once would fail for ever, and `get` must not raise.
            logger.exception("reading fd %d failed; it is watched no more", fd)
            self.forget(fd)
            return ReaderFailed(error)
