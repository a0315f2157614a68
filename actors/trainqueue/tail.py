"""A job's output as it grows, over all its attempts."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.client import Client
    from trainqueue.subscription import Subscription

PATIENCE = 2.0
"""Seconds of silence after which a job that does not run is looked at."""
PAUSE = 0.25
"""Seconds between looks at the log of a running one."""
PIECE = 2**20
"""Bytes that are held at most, however long a line is."""


class Onlooker(AbstractContextManager[Any], Protocol):
    """Is told of the silence, and of all events; a context in which it looks on."""

    topics: tuple[str, ...]

    def idle(self) -> float:
        """Nothing is to be shown now; in how many seconds to say so again."""
        ...

    def hear(self, event: dict[str, Any]) -> None: ...


class Tail:
    """A place in the output: `attempt` (None: the newest) and `offset`. Kept, so that one may go on after a break."""

    def __init__(self, client: Client, job: int, attempt: int | None = None, offset: int = 0) -> None:
        self.client, self.job, self.attempt, self.offset = client, job, attempt, offset
        self.onlooker: Onlooker | None = None
        self._running = False

    def part(self) -> dict[str, Any]:
        """What is there now, as the wire has it; pins the attempt. Move `offset` when it has been used."""
        found = self._at(self.offset)
        if found["size"] < self.offset:  # the job has emptied it
            self.offset = 0
            found = self._at(0)
        self.attempt = found["attempt"]
        return found

    def _at(self, offset: int, limit: int = 2**18) -> dict[str, Any]:
        return self.client.log(self.job, attempt=self.attempt, offset=offset, limit=limit)

    def parts(self) -> Iterator[dict[str, Any]]:
        """Until the job has ended and all is shown; the last part of each attempt has `eof` set."""
        topics = () if self.onlooker is None else self.onlooker.topics
        with self.client.subscribe([f"job.{self.job}", *topics]) as feed:
            while True:
                part = self.part()
                if part["data"] or part["eof"]:
                    yield part
                    self.offset = part["next"]
                if part["eof"] and not self._next_attempt():
                    return
                if not part["data"] and not part["eof"]:
                    self._pause(feed)

    def pieces_back(self) -> Iterator[tuple[int, bytes]]:
        """From the end of what is there to its beginning: pieces with their offsets. What was cut out is passed over.

        A cut may be far larger than a piece, so that steps over it are doubled, and halved again behind it.
        """
        end, step = self._at(-1, 1)["size"], 2**16
        while end > 0:
            start = max(0, end - step)
            if step > PIECE and self._at(start, 1)["offset"] < end:
                step //= 2
                continue
            pieces = [] if step > PIECE else [*self._pieces(start, end)]
            yield from reversed(pieces)
            end, step = start, min(2 * step, PIECE) if pieces else 2 * step

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """More than one where something was cut out between them."""
        while start < end:
            part = self._at(start, end - start)
            if part["data"] and part["offset"] < end:
                yield part["offset"], part["data"][: end - part["offset"]]
            start = part["next"] if part["data"] else end

    def _next_attempt(self) -> bool:
        """Go to the beginning of the attempt behind this one, if there is one."""
        assert self.attempt is not None
        if self.client.status(self.job).attempt <= self.attempt:
            return False
        self.attempt, self.offset = self.attempt + 1, 0
        return True

    def _pause(self, feed: Subscription) -> None:
        """Until the log may have grown: events tell of starts and ends, nothing tells of output."""
        event = self._next(feed, PAUSE if self._running else PATIENCE)
        if event is not None and event.get("id") == self.job:
            self._running = event["state"] == "running"
        elif not self._running:
            self._running = self.client.status(self.job).state == "running"

    def _next(self, feed: Subscription, patience: float) -> dict[str, Any] | None:
        """The next event but those of progress, which the onlooker alone wants; None after so long a silence."""
        if self.onlooker is None:
            return feed.get(patience)
        end = time.monotonic() + patience
        while (left := end - time.monotonic()) > 0:
            event = feed.get(min(left, self.onlooker.idle()))
            if event is not None:
                self.onlooker.hear(event)
                if event["type"] != "progress":
                    return event
        return None
