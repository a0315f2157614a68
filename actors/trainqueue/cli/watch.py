"""`--watch`: a view that is live, fed by events, and silent while nothing changes.

Each look asks for a snapshot, as clients ought to: at the start, at a new epoch, and when an event tells of a change,
at most once in an interval however many come. Progress and GPU samples come whole and need no look.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Protocol

from trainqueue.cli.common import SAFE, client, show_json
from trainqueue.cli.given import refuse
from trainqueue.cli.painter import Terminal
from trainqueue.cli.screen import can_be_painted, clock
from trainqueue.errors import DaemonError, NoDaemonError
from trainqueue.following import Anew, Follower, Lost

if TYPE_CHECKING:
    from trainqueue.cli.painter import Line
    from trainqueue.client import Client
    from trainqueue.following import Happened

INTERVAL, TICK = 0.5, 1.0
"""Seconds between two pictures at least, and at most while something runs: its age grows."""
IDLE = 2.0
"""Seconds between looks whether the daemon lives."""
ANSWER = 5.0


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
    | {"updated_at", "eta", "rate", "why", "quiet"}
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
        self.follower = Follower(trainq)
        self.trouble = ""
        self._looked, self._changed = True, False
        """Whether the view is of now, and whether what is shown is older than it."""
        self._shown_at = -1e9

    def run(self) -> None:
        """The first look has been taken. Raises RequestError."""
        self._show()
        with self.follower:
            while not self.outlet.quit:
                for news in self.follower.hear(self._patience(), self.outlet.fds):
                    self._note(news)
                self._serve()
                if self._patience() <= 0:
                    self._renew()

    def _patience(self) -> float:
        """Seconds until the next picture is due."""
        if not self._changed and not (self.follower.live and self.view.lively):
            return IDLE
        return self._shown_at + (self.interval if self._changed else max(TICK, self.interval)) - time.monotonic()

    def _note(self, news: Happened) -> None:
        match news:
            case Lost(error):
                self._say_that_it_is_old(error)
            case Anew():
                self._looked, self._changed = False, True
            case {"type": "heartbeat"}:
                self._looked = self._looked and not self.view.lively
                self._changed = self._changed or not self._looked
            case _:
                self._looked, self._changed = self._looked and not self.view.hear(news), True

    def _serve(self) -> None:
        if self.outlet.serve():
            self._looked, self._changed, self._shown_at = False, True, -1e9

    def _renew(self) -> None:
        """What is shown, and the view where it is not of now; while there is no daemon it stays as it is."""
        if self.follower.live and not self._looked:
            try:
                self.view.look(self.trainq, self.outlet.room)
            except DaemonError as error:
                self.follower.lose(error)
                return
            self.trouble, self._looked = "", True
        self._show()

    def _show(self) -> None:
        self.outlet.show(self.view, self.trouble)
        self._changed, self._shown_at = False, time.monotonic()

    def _say_that_it_is_old(self, error: Exception) -> None:
        """Once: the view goes on being of that time, however long it takes until there is a daemon again."""
        if not self.trouble:
            stopped = isinstance(error, NoDaemonError) and not self.trainq.home.endpoint_file.exists()
            what = "The daemon was stopped, or has drained" if stopped else "The daemon is gone or silent"
            self.trouble = f"{what}; this is of {clock(time.time())}. {SAFE}. To start one: trainq-cli daemon start"
            self._show()


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
