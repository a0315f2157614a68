"""The thread that hears the daemon: its events come in, what follows from them goes to the event loop as facts.

Subscribe, wait for the welcome, take a snapshot; from there on ask only for the jobs that events name, for the line,
and for what is no job. After each asking comes a pause five times as long as the asking took, so that a page of 5,000
jobs costs the daemon no more than a sixth of its time, however much happens; while little happens there is none.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainqueue.client import SILENCE, TOPICS, Client
from trainqueue.errors import DaemonError, RequestError
from trainqueue.jobinfo import ENDED
from trainqueue.web.picture import RECENT, SHOWN, kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainqueue.home import Home
    from trainqueue.subscription import Subscription
    from trainqueue.web.picture import Kept

logger = logging.getLogger(__name__)
WELCOME = 5.0
"""Seconds for the first word."""
AWAY = 0.25
"""Seconds between looks for a daemon that is not there."""
FIRST, PAGE, BURST = 250, 500, 1000
"""Jobs that are asked for at once, at first and later; events that are heard before anything is asked."""
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
    """What is to be asked for."""

    jobs: set[int] = field(default_factory=set[int])
    line: bool = False
    hole: bool = False

    def __bool__(self) -> bool:
        return bool(self.jobs) or self.line or self.hole


class LostTrackError(DaemonError):
    """Events are missing, or the daemon is another one: begin anew."""


class Watch(threading.Thread):
    """`tell` is called from this thread."""

    def __init__(self, home: Home, tell: Callable[[Fact], None]) -> None:
        super().__init__(name="trainq-watch", daemon=True)
        self.home, self.tell = home, tell
        self._leave = threading.Event()
        self._known: set[int] = set()
        """Jobs that pages see."""
        self._seq, self._epoch = 0, ""
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
                with Client(self.home, timeout=5) as client:
                    self._follow(client)
            except LostTrackError:
                continue
            except (DaemonError, RequestError) as error:
                self.tell(Away(str(error)))
                self._leave.wait(AWAY)
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

    def _follow(self, client: Client) -> None:
        daemon = client.ping()
        with client.subscribe(TOPICS) as feed:
            self._welcomed(feed)
            self.tell(self._whole(client, daemon))
            pause = heard = refreshed = time.monotonic()
            dirty = Dirty()
            while not self._leave.is_set():
                now = time.monotonic()
                wait = max(0.0, pause - now) if dirty else max(0.0, min(refreshed + REFRESH - now, 1.0))
                for event in self._burst(feed, wait):
                    heard = time.monotonic()
                    self._sort(event, dirty)
                if time.monotonic() - heard > SILENCE:
                    msg = "the daemon says nothing any more"
                    raise DaemonError(msg)
                if dirty.hole:
                    raise LostTrackError
                now = time.monotonic()
                if dirty and now >= pause:
                    self.tell(self._some(client, dirty.jobs))
                    pause = refreshed = self._rested(now)
                    dirty = Dirty()
                elif not dirty and now >= refreshed + REFRESH:
                    self.tell(self._some(client, set(), slow=True))
                    pause = refreshed = self._rested(now)

    @staticmethod
    def _rested(began: float) -> float:
        took = time.monotonic() - began
        return began + took + max(CALM, SHARE * took)

    def _welcomed(self, feed: Subscription) -> None:
        deadline = time.monotonic() + WELCOME
        while (event := feed.get(deadline - time.monotonic())) is not None:
            if event["type"] == "welcome":
                self._seq, self._epoch = event["seq"], event["epoch"]
                return
        msg = "the daemon's events do not come"
        raise DaemonError(msg)

    @staticmethod
    def _burst(feed: Subscription, wait: float) -> Iterator[dict[str, Any]]:
        """What comes within `wait` seconds: the first, and all that is there behind it."""
        for _ in range(BURST):
            event = feed.get(wait)
            if event is None:
                return
            yield event
            wait = 0.0

    def _sort(self, event: dict[str, Any], dirty: Dirty) -> None:
        match event["type"]:
            case "progress" | "gpus":
                self.tell(Said(event))
                return
            case "heartbeat" | "welcome":
                dirty.hole = dirty.hole or event["epoch"] != self._epoch or event["seq"] > self._seq
                return
            case "job" | "moved" | "stalled" | "stirred":
                dirty.jobs.add(event["id"])
            case _:
                pass  # of the queue, a lane, a GPU: what is no job is asked for every time
        dirty.line = True
        if event.get("epoch") != self._epoch or event["seq"] > self._seq + 1:
            dirty.hole = True
        self._seq = max(self._seq, event["seq"])

    # -- asking

    def _whole(self, client: Client, daemon: dict[str, Any]) -> Whole:
        """As of its first part; what happened since then comes as events."""
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

    def _some(self, client: Client, dirty: set[int], *, slow: bool = False) -> Some:
        queue = client.queue(1)
        line = client.line(SHOWN)
        wanted = {*dirty, *(job for job in line["jobs"][:SHOWN] if job not in self._known)}
        jobs = [job for some in chunks(sorted(wanted)) for job in client.call("jobs", jobs=some, limit=PAGE)["jobs"]]
        if slow and line["jobs"]:
            self._turn = self._turn if self._turn < min(SHOWN, len(line["jobs"])) else 0
            jobs += client.queue(100, self._turn)["queued"]
            self._turn += 100
        self._see(line, [job["id"] for job in (*queue["running"], *jobs)])
        return Some(jobs, queue, line)

    def _see(self, line: dict[str, Any], jobs: list[int]) -> None:
        shown = {*line["jobs"][:SHOWN]}
        self._known = {job for job in self._known if job in shown} | {*jobs}


def chunks(ids: list[int]) -> Iterator[list[int]]:
    for at in range(0, len(ids), PAGE):
        yield ids[at : at + PAGE]
