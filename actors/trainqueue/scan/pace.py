"""How fast it goes, over about the last minute, and how long it will take."""

from __future__ import annotations

from collections import deque
from math import isfinite

WINDOW = 60.0
LEAST = 5
"""Steps that are looked at, however long they take."""
PAUSE, ODD = 10.0, 10.0
"""A gap of more seconds, and so many times as long as usual, is a pause: a validation, a suspended job."""
SPAN = 1.0
"""Seconds that samples must span before a rate is told: each is read up to half a second after it was written."""
LONGEST = 100 * 365 * 86400.0
"""Seconds; longer than that nothing takes: its total is no total."""
SMALL = 0.05
"""Of the whole: a first step that is larger may be what was done before, by the run that is resumed."""


class Pace:
    """Of one counter at a time. `at` is monotonic; what `step` counts is the caller's, `unit` says when it changes."""

    def __init__(self) -> None:
        self._restart(None)

    def _restart(self, unit: object) -> None:
        self.unit = unit
        self._samples: deque[tuple[float, float]] = deque()
        self._before = 0.0
        """Steps that were made before the count began anew; the samples are with them."""
        self._skipped = 0.0
        """Seconds of pauses, which the times of samples are without."""
        self._pauses = 0
        self._paused = 0.0
        self._began = 0.0
        self._first = True
        """The first interval is still among the samples: it may be no real one."""

    def note(self, at: float, step: float, unit: object) -> None:
        if unit != self.unit:
            self._restart(unit)
        samples = self._samples
        at -= self._skipped
        step += self._anew(step)
        if not samples:
            self._began = at
        elif step <= samples[-1][1]:
            return
        else:
            at -= self._pause(at)
        samples.append((at, step))
        if self._first and len(samples) == 3:
            samples.popleft()
            self._first = False
        while len(samples) > LEAST + 1 and samples[1][0] <= at - WINDOW:
            samples.popleft()

    def _anew(self, step: float) -> float:
        """Steps that are to be added: who counts anew, as in each epoch, goes on as fast as before."""
        intervals = len(self._samples) - 1
        if intervals > 0 and step + self._before <= self._samples[0][1]:
            (_, first), (_, last) = self._samples[0], self._samples[-1]
            self._before = last + (last - first) / intervals - step
        return self._before

    def _pause(self, at: float) -> float:
        """Seconds that are to be left out before this sample."""
        samples = self._samples
        gap, intervals = at - samples[-1][0], len(samples) - 1
        if intervals < 2:
            return 0.0
        usual = (samples[-1][0] - samples[0][0]) / intervals
        if gap <= max(PAUSE, ODD * usual):
            return 0.0
        over = gap - usual
        self._skipped += over
        self._pauses += 1
        self._paused += over
        return over

    def suspended(self, seconds: float) -> None:
        """The job was not let run for so long, which says nothing of it."""
        self._skipped += seconds

    @property
    def every(self) -> float | None:
        """Seconds from one sample to the next, lately; None while nobody can say."""
        samples = self._samples
        return (samples[-1][0] - samples[0][0]) / (len(samples) - 1) if len(samples) > 1 else None

    def rate(self, now: float, total: float | None = None) -> float | None:
        """Steps a second; None while nobody can say. Falls while nothing comes any more."""
        samples = self._samples
        if len(samples) < 2:
            return None
        (begin, first), (end, last) = samples[0], samples[-1]
        if self._first and last - first > 1 and last - first > SMALL * (total or 0.0):
            return None
        if end - begin < SPAN:
            return None
        usual = self.every or 0.0
        now -= self._skipped
        if now - end > max(1.0, 3 * usual):
            end = now
        rate = (last - first) / (end - begin)
        return rate if isfinite(rate) else None

    def eta(self, now: float, step: float, total: float) -> float | None:
        """Seconds left. Pauses that come again and again will go on to come."""
        rate = self.rate(now, total)
        if not rate:
            return 0.0 if step >= total else None
        left = max(0.0, total - step) / rate
        active = now - self._skipped - self._began
        left *= 1 + self._paused / active if self._pauses > 1 and active > 0 else 1
        return left if left <= LONGEST else None
