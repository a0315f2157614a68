"""Server-sent events: one stream a tab, with what its page has not been told yet.

A stream holds the newest of each thing, never a backlog: a page that reads slowly gets fewer and larger deltas.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from trainqueue.web.picture import News, json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from trainqueue.web.live import Live
    from trainqueue.web.loglive import LogTail
    from trainqueue.web.picture import Pieces

PACE = 0.1
"""Seconds from one delta to the next, at least. The first goes out at once."""
ALIVE = 5.0
"""Seconds of silence until a sign of life."""
PART = 2**16
"""Bytes that go out at once."""


class Stream:
    """One page's."""

    def __init__(self, live: Live, tail: LogTail | None) -> None:
        self.live, self.tail = live, tail
        self.news = News()
        self.anew = True
        """A whole snapshot is due."""
        self.stirred = asyncio.Event()
        self.stirred.set()

    def tell(self, news: News) -> None:
        if not self.anew:
            self.news.take(news)
        self.stirred.set()

    def restart(self) -> None:
        self.news, self.anew = News(), True
        self.stirred.set()

    async def frames(self) -> AsyncIterator[bytes]:
        """Until the server stops or the page goes."""
        self.live.streams.add(self)
        following = None if self.tail is None else asyncio.create_task(self.tail.follow(self.stirred))
        try:
            while not self.live.stopping:
                if not await self._stir():
                    yield b"".join(frame("ping", [b"{}"]))
                    continue
                self.stirred.clear()
                sent = False
                for said in self._due():
                    sent = True
                    for part in parts(said):
                        yield part
                if sent:
                    await self.live.rest(PACE)
        finally:
            self.live.streams.discard(self)
            if following is not None:
                following.cancel()

    async def _stir(self) -> bool:
        """Whether there may be something to say; else it has been silent for long."""
        try:
            await asyncio.wait_for(self.stirred.wait(), ALIVE)
        except TimeoutError:
            return False
        return True

    def _due(self) -> list[Pieces]:
        picture, now = self.live.picture, json(time.time())
        if self.anew and picture.known:
            self.anew = False
            first = [frame("snapshot", picture.snapshot(time.time()))]
            behind = {"line": line} if (line := picture.head.get("line")) is not None else {}
            if (log := self._log()) is not None:
                behind["log"] = log
            return [*first, frame("delta", News(head=behind).body(at=now))] if behind else first
        if self.anew:
            return [frame("delta", News(head=dict(picture.head)).body(at=now))] if picture.head else []
        log = self._log()
        if not self.news and log is None:
            return []
        news, self.news = self.news, News()
        return [frame("delta", news.body(at=now) if log is None else news.body(at=now, log=log))]

    def _log(self) -> bytes | None:
        return None if self.tail is None else self.tail.take()


def frame(kind: str, data: Pieces) -> Pieces:
    return [b"event: " + kind.encode() + b"\ndata: ", *data, b"\n\n"]


def parts(pieces: Pieces) -> Iterator[bytes]:
    """Put together as far as they go out at once: who does not read holds one of these, and not a whole snapshot."""
    begun, size = 0, 0
    for at, piece in enumerate(pieces):
        size += len(piece)
        if size >= PART:
            yield b"".join(pieces[begun : at + 1])
            begun, size = at + 1, 0
    if size:
        yield b"".join(pieces[begun:])
