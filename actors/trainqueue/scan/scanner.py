"""From the bytes of a log to how far its script is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.scan.course import Course, Place
from trainqueue.scan.hints import Hints
from trainqueue.scan.recognise import recognise
from trainqueue.scan.splitter import Splitter
from trainqueue.scan.words import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_METRICS = 40
SLACK = 0.02
"""A step back of less is a tremble; where it is more, nobody knows the fraction any more."""


class Scanner:
    """Of one attempt. `now` is monotonic."""

    def __init__(self, command: Sequence[str] = ()) -> None:
        self.course = Course(Hints.of(command))
        self.metrics: dict[str, float] = {}
        self._splitter = Splitter()
        self._said: dict[str, str] = {}
        self._shown = 0.0
        self.heard = False
        """Whether a line was recognised since `place` was asked for."""

    def feed(self, data: bytes, now: float) -> None:
        for line in self._splitter.lines(data):
            reading = recognise(line)
            if reading is None:
                continue
            self.heard = True
            self.course.take(reading, now)
            if reading.said:
                self._said[reading.name + reading.said[:16] if reading.name == "dict" else reading.name] = reading.said

    def restart(self) -> None:
        """What comes next is the beginning of a line."""
        self._splitter = Splitter()

    def skip(self) -> None:
        """Something of the log is left out before what comes next."""
        self._splitter.skip()

    def place(self, now: float, *, ended: bool = False, well: bool = False) -> Place:
        """How far it is; the fraction never goes back. `well`: the job has ended with exit code 0."""
        self.heard = False
        self._measure()
        place = self.course.place(now, ended=ended)
        epochs = self.course.epochs
        if well and epochs is not None and epochs.complete() and place.fraction:
            place = place._replace(step=place.total, fraction=1.0)
        if place.fraction is None:
            return place
        if place.fraction < self._shown:
            return place._replace(fraction=self._shown if self._shown - place.fraction < SLACK else None)
        self._shown = place.fraction
        return place

    def _measure(self) -> None:
        for said in self._said.values():
            for name, value in metrics(said).items():
                if name in self.metrics or len(self.metrics) < MOST_METRICS:
                    self.metrics[name] = value
        self._said.clear()
