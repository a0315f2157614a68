"""The picture, who looks at it, and the facts that change it; all in the event loop."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, assert_never

from trainqueue import user
from trainqueue.web.picture import News, Picture
from trainqueue.web.watch import Away, Fact, Said, Some, Watch, Whole

if TYPE_CHECKING:
    from trainqueue.home import Home
    from trainqueue.web.streams import Stream


class Live:
    """Made by the server; `start`, `end` and `close` in its event loop."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.picture = Picture()
        self.streams: set[Stream] = set()
        self._over = asyncio.Event()
        self._watch: Watch | None = None
        self._place = {"home": str(home.path), "user": user.name(), "host": socket.gethostname()}

    @property
    def stopping(self) -> bool:
        return self._over.is_set()

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def tell(fact: Fact) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self.heard, fact)

        self._watch = Watch(self.home, tell)
        self._watch.start()

    def end(self) -> None:
        """All streams end: a server that waits for them would wait for ever."""
        self._over.set()
        for stream in self.streams:
            stream.stirred.set()

    async def close(self) -> None:
        self.end()
        if self._watch is not None:
            await asyncio.to_thread(self._watch.stop)

    async def rest(self, seconds: float) -> None:
        """Less when the server stops."""
        try:
            await asyncio.wait_for(self._over.wait(), seconds)
        except TimeoutError:
            return

    # -- what the watch tells

    def heard(self, fact: Fact) -> None:
        match fact:
            case Whole():
                self._begin(fact)
            case Some(jobs, queue, line):
                news = self.picture.merge(jobs)
                news.take(self.picture.lead(queue))
                news.take(self.picture.lay(line))
                self._spread(news)
            case Said(event):
                self._spread(self._said(event))
            case Away(why):
                self._spread(self.picture.daemon({"connected": False, "why": why, **self._place}))
            case _:
                assert_never(fact)

    def _begin(self, fact: Whole) -> None:
        told = {name: fact.daemon[name] for name in ("version", "pid", "started_at")}
        self.picture = Picture(self.picture.history)
        self.picture.begin(fact.queue, fact.queued, fact.recent, {"connected": True, **told, **self._place})
        self.picture.lay(fact.line)
        for stream in self.streams:
            stream.restart()

    def _said(self, event: dict[str, object]) -> News:
        match event:
            case {"type": "progress", "id": int(job), "progress": said}:
                return self.picture.progress(job, said)  # type: ignore[arg-type]
            case {"type": "gpus", "at": float(at), "gpus": list(gpus)}:
                return self.picture.gpus(at, gpus)
            case _:
                return News()

    def _spread(self, news: News) -> None:
        if news:
            for stream in self.streams:
                stream.tell(news)
