"""The thread that hears the daemon: its events come in, what follows from them goes to the event loop as facts.

Where a snapshot is due it asks for all, else only for the jobs that events name, for the line, and for what is no job.
After each asking comes a pause five times as long as the asking took, so that a page of 5,000 jobs costs the daemon no
more than a sixth of its time, however much happens; while little happens there is none.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainqueue.chunks import chunks
from trainqueue.client import Client
from trainqueue.errors import DaemonError, RequestError
from trainqueue.following import AWAY, Anew, Follower, Lost
from trainqueue.jobinfo import ENDED
from trainqueue.web.picture import RECENT, SHOWN, kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainqueue.following import Happened
    from trainqueue.home import Home
    from trainqueue.web.picture import Kept

logger = logging.getLogger(__name__)
FIRST, PAGE = 250, 500
"""Jobs that are asked for at once, at first and later."""
CALM, SHARE = 0.05, 5
REFRESH = 2.0
"""Seconds after which is asked again what changes without an event: reasons, forecasts, run times."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Everything anew."""

    queue: dict[str, Any]
    queued: list[Kept]
    recent: list[dict[str, Any]]
    line: dict[str, Any]
    daemon: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Some:
    """What has changed: whole jobs, the head of the queue, the line."""

    jobs: list[dict[str, Any]]
    queue: dict[str, Any]
    line: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """An event that needs no asking: progress, a sample of the GPUs."""

    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Away:
    """No daemon, in words."""

    why: str


Fact = Whole | Some | Said | Away


@dataclass(slots=True)
class Dirty:
    """What is to be asked for; `line`: only what is no job."""

    jobs: set[int] = field(default_factory=set[int])
    line: bool = False
    whole: bool = False

    def __bool__(self) -> bool:
        return bool(self.jobs) or self.line or self.whole


class Watch(threading.Thread):
    """`tell` is called from this thread."""

    def __init__(self, home: Home, tell: Callable[[Fact], None]) -> None:
        super().__init__(name="trainq-watch", daemon=True)
        self.home, self.tell = home, tell
        self._leave = threading.Event()
        self._known: set[int] = set()
        """Jobs that pages see."""
        self._dirty = Dirty()
        self._rest_until = self._asked_at = 0.0
        """Monotonic: when the daemon may be asked again, and when it was asked last."""
        self._logged = ""
        """What went wrong last and nobody had expected: said once, however often it is tried again."""
        self._turn = 0
        """Where in the line the next slow refresh begins."""

    def stop(self) -> None:
        self._leave.set()
        self.join(0.5)  # a daemon that hangs keeps it longer, and it ends with the process

    def run(self) -> None:
        while not self._leave.is_set():
            try:
                with Client(self.home, timeout=5) as client, Follower(client) as follower:
                    self._follow(client, follower)
            except Exception as error:  # noqa: BLE001  (no descriptor is left, an event is none: it may pass)
                self._unforeseen(error)
                self._leave.wait(AWAY)

    def _unforeseen(self, error: Exception) -> None:
        if self._leave.is_set():
            return  # the event loop has gone
        words = f"{type(error).__name__}: {error}"
        if words != self._logged:
            logger.error("the daemon cannot be heard: %s", words, exc_info=error)
            self._logged = words
        self.tell(Away(words))

    def _follow(self, client: Client, follower: Follower) -> None:
        while not self._leave.is_set():
            for news in follower.hear(min(1.0, self._due_at() - time.monotonic())):
                self._sort(news)
            if follower.live and time.monotonic() >= self._due_at():
                try:
                    self._ask(client)
                except (DaemonError, RequestError) as error:
                    follower.lose(error)

    def _sort(self, news: Happened) -> None:
        match news:
            case Anew():
                self._dirty.whole = True
            case Lost(error):
                self.tell(Away(str(error)))
            case {"type": "progress" | "gpus"}:
                self.tell(Said(news))
            case {"type": "heartbeat"}:
                pass
            case {"type": "job" | "moved" | "stalled" | "stirred", "id": job}:
                self._dirty.jobs.add(job)
            case _:
                self._dirty.line = True  # of the queue, a lane, a GPU: what is no job is asked for every time

    # -- asking

    def _due_at(self) -> float:
        return self._rest_until if self._dirty else self._asked_at + REFRESH

    def _ask(self, client: Client) -> None:
        """What is due. Raises DaemonError, RequestError, and is due still."""
        began, dirty = time.monotonic(), self._dirty
        self.tell(self._whole(client) if dirty.whole else self._some(client, dirty.jobs, slow=not dirty))
        self._dirty, self._asked_at = Dirty(), time.monotonic()
        self._rest_until = self._asked_at + max(CALM, SHARE * (self._asked_at - began))

    def _whole(self, client: Client) -> Whole:
        """As of its first part; what happened since then comes as events."""
        daemon = client.ping()
        first = client.queue(FIRST)
        queued = {job["id"]: kept(job) for job in first.pop("queued")}  # a page of dictionaries at a time, not all
        for at in range(FIRST, SHOWN, FIRST) if len(queued) == FIRST else ():
            page = client.queue(FIRST, at)["queued"]
            queued |= {job["id"]: kept(job) for job in page}
            if len(page) < FIRST:
                break
        recent = client.call("jobs", states=[*ENDED], limit=RECENT)["jobs"]
        line = client.line(SHOWN)
        self._see(line, [*(job["id"] for job in (*first["running"], *recent)), *queued])
        return Whole(first, [*queued.values()], recent, line, daemon)

    def _some(self, client: Client, dirty: set[int], *, slow: bool) -> Some:
        queue = client.queue(1)
        line = client.line(SHOWN)
        wanted = {*dirty, *(job for job in line["jobs"][:SHOWN] if job not in self._known)}
        jobs = [
            job for some in chunks(sorted(wanted), PAGE) for job in client.call("jobs", jobs=some, limit=PAGE)["jobs"]
        ]
        if slow and line["jobs"]:
            self._turn = self._turn if self._turn < min(SHOWN, len(line["jobs"])) else 0
            jobs += client.queue(100, self._turn)["queued"]
            self._turn += 100
        self._see(line, [job["id"] for job in (*queue["running"], *jobs)])
        return Some(jobs, queue, line)

    def _see(self, line: dict[str, Any], jobs: list[int]) -> None:
        shown = {*line["jobs"][:SHOWN]}
        self._known = {job for job in self._known if job in shown} | {*jobs}
