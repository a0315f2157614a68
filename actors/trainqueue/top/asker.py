"""The threads that talk to the daemon, so that the screen never waits for it.

One hears events; they are hints that something has changed, apart from progress and GPU samples, which say all. The
other one asks: at most once an interval what the screen shows, at once what somebody at the keyboard wants. Both tell a
`Mailbox`, which the screen empties. An order that could not be given in time is dropped: nothing is done late.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from trainqueue.chunks import chunks
from trainqueue.client import Client
from trainqueue.errors import DaemonError, RequestError
from trainqueue.following import Anew, Follower, Lost
from trainqueue.jobinfo import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainqueue.following import Happened
    from trainqueue.home import Home
    from trainqueue.top.deeds import Deed

FIRST = 100
"""Waiting jobs that are asked for before anybody knows how many fit the screen."""
PAGE = 250
"""Jobs in one question."""
RECENT = 30
TIMEOUT = 3.0
OLD = 2.0
"""Seconds after which all is asked again, even if nothing has happened: reasons change without events."""
LATE = 5.0
"""Seconds after which an order is not given any more."""
TAIL, MOST = 2**15, 2**17
"""Bytes of a log that are read at first, and at one look; of a flood only the end."""


@dataclass(frozen=True, slots=True)
class Answers:
    found: dict[str, Any]
    line: dict[str, Any]
    jobs: list[dict[str, Any]]
    recent: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class More:
    """Jobs that were asked for besides; `looked` of how many, while all are looked through."""

    jobs: list[dict[str, Any]]
    left: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Log:
    """`fresh`: it does not follow on what came before."""

    job: int
    part: dict[str, Any]
    fresh: bool


@dataclass(frozen=True, slots=True)
class Done:
    deed: Deed
    results: list[dict[str, Any]]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Full:
    """A job with its attempts and environment."""

    job: int
    told: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Empty when all is well again."""

    sentence: str


News = Answers | More | Heard | Log | Done | Full | Trouble


class Mailbox:
    """From the threads to the screen; `ring` is called by the threads."""

    def __init__(self) -> None:
        self._news: deque[News] = deque()
        self.ring: Callable[[], object] = lambda: None

    def put(self, news: News) -> None:
        self._news.append(news)
        self.ring()

    def take(self) -> Iterator[News]:
        while self._news:
            yield self._news.popleft()


@dataclass
class Wanted:
    """What the screen shows; written by the screen, read by the asking thread."""

    visible: tuple[int, ...] = ()
    search: bool = False
    """Whether all that wait are looked through."""
    log: int | None = None


@dataclass
class Place:
    """Where the log of a job has been read to."""

    job: int
    attempt: int | None = None
    offset: int | None = None
    over: bool = False


@dataclass
class Asker:
    """Started at once: the daemon is asked while Textual is being imported."""

    home: Home
    interval: float
    box: Mailbox = field(default_factory=Mailbox)
    wanted: Wanted = field(default_factory=Wanted)
    busy_since: float | None = None
    """Monotonic; since when an answer is waited for."""

    def __post_init__(self) -> None:
        self._orders: SimpleQueue[tuple[str, Any, float]] = SimpleQueue()
        self._closed = threading.Event()
        self._known: set[int] = set()
        self._stale, self._ended, self._trouble = True, True, ""
        self._place: Place | None = None
        self._log_dirty, self._log_state = True, ""
        self._threads = [
            threading.Thread(target=target, name=f"top-{name}", daemon=True)
            for name, target in (("asks", self._ask), ("hears", self._hear))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self, patience: float = 0.0) -> None:
        """They end by themselves; who must know waits for them."""
        self._closed.set()
        self.order("close")
        for thread in self._threads:
            thread.join(patience)

    def order(self, kind: str, what: Any = None) -> None:
        """Kinds: do (a Deed), view, search, log, full (a job), hint, close."""
        self._orders.put((kind, what, time.monotonic()))

    # -- the thread that hears

    def _hear(self) -> None:
        with Client(self.home, timeout=TIMEOUT) as client, Follower(client) as follower:
            while not self._closed.is_set():
                for news in follower.hear(min(1.0, self.interval)):
                    self._pass_on(news)

    def _pass_on(self, news: Happened) -> None:
        match news:
            case Anew() | Lost():
                self.order("hint", what=True)
            case {"type": "heartbeat"}:
                pass
            case {"type": "progress" | "gpus"}:
                self.box.put(Heard(news))
            case _:
                self.order("hint", news.get("state") in ENDED)

    # -- the thread that asks

    def _ask(self) -> None:
        with Client(self.home, timeout=TIMEOUT) as client:
            looked = logged = -1e9
            while not self._closed.is_set():
                now = time.monotonic()
                due = looked + (self.interval if self._stale else OLD)
                log_due = logged + self.interval if self._log_grows() else now + OLD
                orders = self._taken(max(0.0, min(due, log_due) - now))
                urgent = self._obey(client, orders)
                now = time.monotonic()
                if now >= due or urgent:
                    self._attempt(lambda: self._look(client))
                    looked = time.monotonic()
                if now >= log_due or self._log_dirty:
                    self._attempt(lambda: self._read_log(client))
                    logged = time.monotonic()

    def _taken(self, patience: float) -> list[tuple[str, Any, float]]:
        """All that lie there; waits for the first one."""
        found: list[tuple[str, Any, float]] = []
        try:
            found.append(self._orders.get(timeout=patience))
            while True:
                found.append(self._orders.get_nowait())
        except Empty:
            return found

    def _obey(self, client: Client, orders: list[tuple[str, Any, float]]) -> bool:
        """Whether to look at once."""
        urgent = False
        for kind, what, at in orders:
            match kind:
                case "hint":
                    self._stale, self._ended = True, self._ended or bool(what)
                case "view":
                    self._load(client)
                case "search":
                    urgent = True
                case "log":
                    self._log_dirty, self._log_state, self._place = True, what or "", None
                case "full":
                    self._attempt(lambda job=what: self._full(client, job))  # type: ignore[misc]
                case "do":
                    self._do(client, what, at)
                    urgent = self._ended = True
                case _:
                    pass
        return urgent

    def _attempt(self, action: Callable[[], object]) -> bool:
        """What goes wrong is told once, and that it goes well again, too."""
        self.busy_since = time.monotonic()
        try:
            action()
        except RequestError as error:
            if error.code not in {"not-found", "conflict"}:
                self._say(str(error))
            return False
        except (DaemonError, OSError) as error:
            self._say(str(error))
            self._stale = True
            return False
        except Exception as error:  # noqa: BLE001  (a thread that dies silently shows old figures for ever)
            self._say(f"{type(error).__name__}: {error}")
            return False
        finally:
            self.busy_since = None
        self._say("")
        return True

    def _say(self, sentence: str) -> None:
        if sentence != self._trouble:
            self._trouble = sentence
            self.box.put(Trouble(sentence))

    def _look(self, client: Client) -> None:
        self._stale, ended, self._ended = False, self._ended, False
        first = not self._known
        found = client.queue(FIRST if first else 1)
        line = client.line()
        waiting = [*line["jobs"]]
        have = {job["id"] for job in found["queued"]} if first else set[int]()
        asked = {*self.wanted.visible, *([self.wanted.log] if self.wanted.log else [])}
        if self.wanted.search:
            asked |= {job for job in waiting if job not in self._known}
        jobs = [*self._pages(client, asked - have)]
        recent = self._recent(client) if ended else None
        told = [*found["queued"], *found["running"], *jobs, *(recent or ())]
        self._known = (self._known & {*waiting}) | {job["id"] for job in told}
        self._see_log(told)
        self.box.put(Answers(found, line, jobs, recent))

    def _recent(self, client: Client) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.call("jobs", states=[*ENDED], limit=RECENT)["jobs"]
        return found

    def _pages(self, client: Client, ids: set[int]) -> Iterator[dict[str, Any]]:
        """So many at a time that the daemon is free for others in between."""
        for some in chunks(sorted(ids), PAGE):
            if self._closed.is_set():
                return
            yield from client.call("jobs", jobs=some, limit=len(some))["jobs"]

    def _load(self, client: Client) -> None:
        """What has come on the screen and is not known yet."""
        missing = {*self.wanted.visible} - self._known
        if missing:

            def more() -> None:
                jobs = [*self._pages(client, missing)]
                self._known |= {job["id"] for job in jobs}
                self.box.put(More(jobs))

            self._attempt(more)

    def _full(self, client: Client, job: int) -> None:
        self.box.put(Full(job, client.call("status", job=job, env=True)))

    def _do(self, client: Client, deed: Deed, at: float) -> None:
        if time.monotonic() - at > LATE:
            self.box.put(Done(deed, [], "not done: the daemon did not answer in time. Nothing has changed"))
            return
        results: list[dict[str, Any]] = []
        self.busy_since = time.monotonic()
        try:
            for op, fields in deed.calls:
                results.append(client.call(op, **fields))
                if any(not answer["ok"] for answer in results[-1].get("jobs") or ()):
                    break
        except DaemonError as error:
            self.box.put(Done(deed, results, f"{error}; whether it was done shows when it is back"))
        except RequestError as error:
            from trainqueue.cli.refusals import in_words

            self.box.put(Done(deed, results, in_words(str(error))))
        else:
            self.box.put(Done(deed, results))
        finally:
            self.busy_since = None

    # -- the log

    def _log_grows(self) -> bool:
        return self.wanted.log is not None and self._log_state in {"pending", "running"}

    def _read_log(self, client: Client) -> None:
        self._log_dirty = False
        job = self.wanted.log
        if job is None:
            return
        place = self._place
        if place is None or place.job != job:
            place = self._place = Place(job)
        at = -TAIL if place.offset is None else place.offset
        part, fresh = client.log(job, attempt=place.attempt, offset=at, limit=MOST), place.offset is None
        if not fresh and (part["size"] < at or part["next"] < part["size"]):  # emptied, or a flood
            part, fresh = client.log(job, attempt=place.attempt, offset=-TAIL, limit=TAIL), True
        place.attempt, place.offset, place.over = part["attempt"], part["next"], part["eof"]
        if part["data"] or fresh:
            self.box.put(Log(job, part, fresh))

    def _see_log(self, told: list[dict[str, Any]]) -> None:
        """It is read once more where its job has begun or ended; from the beginning where it is another attempt."""
        job = next((job for job in told if job["id"] == self.wanted.log), None)
        if job is None:
            return
        if self._place is not None and self._place.attempt not in {None, job["attempt"]}:
            self._place = None
        if job["state"] != self._log_state:
            self._log_state, self._log_dirty = job["state"], True
