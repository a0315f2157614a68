"""`--watch`: a view that is live, fed by events, and silent while nothing changes.

Each look asks for a snapshot, as clients ought to: at the start, at a new epoch, and when an event tells of a change,
at most once in an interval however many come. Progress and GPU samples come whole and need no look.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Protocol

from trainqueue import guard
from trainqueue.cli.common import SAFE, client, show_json
from trainqueue.cli.given import refuse
from trainqueue.cli.painter import Terminal
from trainqueue.cli.screen import can_be_painted, clock
from trainqueue.client import SILENCE, TOPICS
from trainqueue.errors import DaemonError, NoDaemonError, NotAnsweringError

if TYPE_CHECKING:
    from trainqueue.cli.painter import Line
    from trainqueue.client import Client
    from trainqueue.subscription import Subscription

INTERVAL, TICK = 0.5, 1.0
"""Seconds between two pictures at least, and at most while something runs: its age grows."""
IDLE, AWAY = 2.0, 0.5
"""Seconds between looks whether the daemon lives, and, when it does not, whether there is one again."""
ANSWER = 5.0
BURST = 1000
"""Events that are taken in at a time."""


class View(Protocol):
    """What is shown."""

    def look(self, trainq: Client, room: int) -> None:
        """Ask the daemon for all of it, as far as it fits so many lines. Raises DaemonError, RequestError."""
        ...

    def hear(self, event: dict[str, Any]) -> bool:
        """Take in what the event tells; whether a look is due instead."""
        ...

    def lines(self, size: tuple[int, int], trouble: str) -> list[Line]: ...

    def document(self) -> Any:
        """What a program reads."""
        ...

    @property
    def lively(self) -> bool:
        """Whether the picture changes with the clock."""
        ...


class Outlet(Protocol):
    """Where the pictures go."""

    quit: bool

    @property
    def fds(self) -> list[int]: ...
    @property
    def room(self) -> int: ...
    def wait(self, seconds: float) -> None: ...
    def serve(self) -> bool: ...
    def show(self, view: View, trouble: str) -> None: ...


class Pictures(Terminal):
    """For people."""

    @property
    def room(self) -> int:
        return self.size()[1]

    def show(self, view: View, trouble: str) -> None:
        self.paint(view.lines(self.size(), trouble))


class Documents:
    """For programs: one a line whenever something but figures has changed."""

    fds: list[int] = []  # noqa: RUF012  (nobody changes it)
    quit = False

    def __init__(self, room: int) -> None:
        self.room = room
        self._last = ""

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def serve(self) -> bool:
        return False

    def show(self, view: View, trouble: str) -> None:
        if trouble:
            return
        document = view.document()
        told = json.dumps(still(document), default=str)
        if told != self._last:
            self._last = told
            show_json(document)


FIGURES = frozenset(
    {"run_time", "gpu_seconds", "waited", "seq", "at", "memory_used", "utilization", "temperature", "power", "memory"}
    | {"updated_at", "eta", "every", "rate", "why", "quiet"}
    | {f"expected_{what}" for what in ("start_at", "start_range", "end_at", "end_range")}
)
"""They change all the time: alone they are no news."""


def still(value: Any) -> Any:
    """Without what changes by itself."""
    if isinstance(value, dict):
        return {name: still(part) for name, part in value.items() if name not in FIGURES}
    return [still(part) for part in value] if isinstance(value, list) else value


class Watch:
    """Until somebody has had enough."""

    def __init__(self, trainq: Client, view: View, outlet: Outlet, interval: float) -> None:
        self.trainq, self.view, self.outlet, self.interval = trainq, view, outlet, interval
        self.trouble = ""
        self._looked = self._changed = False
        """Whether the view is of now, and whether what is shown is older than it."""
        self._shown_at = -1e9
        self._heard_at, self._epoch = 0.0, ""

    def run(self) -> None:
        """The first look has been taken. Raises RequestError."""
        self._looked = True
        self._show()
        while not self.outlet.quit:
            try:
                self._follow()
            except DaemonError as error:
                self._outlast(error)

    def _follow(self) -> None:
        """Raises DaemonError."""
        with self.trainq.subscribe(TOPICS) as feed:
            self._heard_at, self._epoch = time.monotonic(), ""
            while not self.outlet.quit:
                if not self._hear(feed):
                    self._see_that_it_lives()
                now = time.monotonic()
                due = self._changed or (self.view.lively and now - self._shown_at >= self._tick)
                if due and now - self._shown_at >= self.interval:
                    if not self._looked:
                        self.view.look(self.trainq, self.outlet.room)
                        self._looked = True
                    self._show()

    @property
    def _tick(self) -> float:
        return max(TICK, self.interval)

    def _patience(self) -> float:
        """Until the next picture is due."""
        if not self._changed and not self.view.lively:
            return IDLE
        return max(0.0, self._shown_at + (self.interval if self._changed else self._tick) - time.monotonic())

    def _hear(self, feed: Subscription) -> bool:
        """All that has come, or is about to; whether there was anything."""
        feed.wait(self._patience(), self.outlet.fds)
        self._serve()
        heard = False
        for _ in range(BURST):
            if (event := feed.get(0)) is None:
                break
            heard = True
            self._note(event)
        if heard:
            self._heard_at = time.monotonic()
        return heard

    def _note(self, event: dict[str, Any]) -> None:
        fresh = event["type"] == "welcome" and event["epoch"] != self._epoch
        beat = event["type"] == "heartbeat"
        if fresh:
            self._epoch = event["epoch"]
        elif event["type"] == "welcome":
            return  # somebody else's
        if fresh or (beat and self.view.lively) or (not beat and self.view.hear(event)):
            self._looked = False
        self._changed = self._changed or not beat or not self._looked

    def _serve(self) -> None:
        if self.outlet.serve():
            self._looked, self._changed, self._shown_at = False, True, -1e9

    def _see_that_it_lives(self) -> None:
        if not guard.is_held(self.trainq.home.lock):
            msg = f"no daemon serves {self.trainq.home.path} any more"
            raise NoDaemonError(msg)
        if time.monotonic() - self._heard_at > SILENCE:
            msg = "nothing has come for 15 s"
            raise NotAnsweringError(msg)

    def _show(self) -> None:
        self.outlet.show(self.view, self.trouble)
        self._changed, self._shown_at = False, time.monotonic()

    def _outlast(self, error: DaemonError) -> None:
        """Say that what is seen is old, and go on when there is a daemon again, however long that takes."""
        stopped = isinstance(error, NoDaemonError) and not self.trainq.home.endpoint_file.exists()
        what = "The daemon was stopped, or has drained" if stopped else "The daemon is gone or silent"
        self.trouble = f"{what}; this is of {clock(time.time())}. {SAFE}. To start one: trainq-cli daemon start"
        self._show()
        while not self.outlet.quit:
            self.outlet.wait(AWAY)
            if self.outlet.serve():
                self._show()
            try:
                self.view.look(self.trainq, self.outlet.room)
            except DaemonError:
                continue
            self.trouble, self._looked = "", True
            self._show()
            return


def watch(view: View, *, interval: float | None, document: bool, limit: int | None) -> None:
    """Raises UsageError where it cannot be."""
    if not document and not can_be_painted():
        refuse(
            "--watch draws on a terminal, and this is none that can be drawn on (TERM=dumb counts as such); "
            "with --json it prints a line at each change"
        )
    trainq = client()
    trainq.timeout = ANSWER
    if document:
        documents = Documents(limit or 100)
        view.look(trainq, documents.room)
        Watch(trainq, view, documents, interval or INTERVAL).run()
        return
    pictures = Pictures()
    view.look(trainq, pictures.room)
    pictures.run(Watch(trainq, view, pictures, interval or INTERVAL).run)
