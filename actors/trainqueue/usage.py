"""Where the time of the GPUs went: seconds held, and seconds idle while jobs waited, by what kept them from starting.

Pure: it is told the time (of the monotonic clock) and how things stand, after each batch of changes; what was said last
counts for the time since then. A GPU that nobody waits for and nobody holds is counted nowhere.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainqueue.core.job import Job

MOST = 1000
"""Jobs whose time at the front is kept before they end."""
HELD = "held"
"""The use of a GPU that a job of ours is on; every other use is the reason why none is."""


def _seconds() -> defaultdict[str, float]:
    return defaultdict(float)


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stand. `uses`: of each GPU, None where nothing keeps a job from it. `wanted`: jobs wait for GPUs.

    `first`: the job that stands first in line, what it waits for, and what is known of it from before (`Job.stood`).
    """

    uses: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    wanted: bool = False
    first: tuple[int, str, Mapping[str, float]] | None = None


@dataclass(slots=True)
class Figures:
    """Of one GPU, in seconds."""

    held: float = 0.0
    idle: defaultdict[str, float] = field(default_factory=_seconds)


class Usage:
    """Sums over all daemons that have served this home, as far as they could write them down."""

    def __init__(self, now: float, boot: str, kept: str = "") -> None:
        """`kept`: what `text` gave before. Raises nothing: what cannot be read begins anew."""
        self.boot = boot
        self.gpus = defaultdict[str, Figures](Figures)
        self.stood: dict[int, defaultdict[str, float]] = {}
        """Of the jobs that have stood first in line and have not ended."""
        self._moment, self._since = Moment(), now
        self._before: frozenset[str] = frozenset()
        """GPUs that were held when the last daemon went, which is known since `_since`."""
        try:
            self._load(json.loads(kept or "{}"))
        except (ValueError, LookupError, TypeError, AttributeError):
            self.gpus.clear()

    def _load(self, kept: dict[str, Any]) -> None:
        for gpu, (held, idle) in kept.get("gpus", {}).items():
            self.gpus[gpu] = Figures(float(held), defaultdict(float, idle))
        for job, seconds in kept.get("stood", {}).items():
            self.stood[int(job)] = defaultdict(float, seconds)
        if kept.get("boot") == self.boot:
            self._since, self._before = min(self._since, float(kept["at"])), frozenset[str](kept["held"])

    def note(self, now: float, moment: Moment) -> None:
        """The time since the last call goes to what was said then; from now on it is as `moment` says."""
        passed = max(0.0, now - self._since)
        for gpu in self._before:  # its job has run on without a daemon
            if moment.uses.get(gpu) == HELD:
                self.gpus[gpu].held += passed
        for gpu, use in self._moment.uses.items():
            if use == HELD:
                self.gpus[gpu].held += passed
            elif use is not None and self._moment.wanted:
                self.gpus[gpu].idle[use] += passed
        if self._moment.first is not None:
            job, reason, before = self._moment.first
            self.stood.setdefault(job, defaultdict(float, before))[reason] += passed
        self._since, self._moment, self._before = now, moment, frozenset()

    def standing(self) -> int | None:
        """The job that stands first in line."""
        return None if self._moment.first is None else self._moment.first[0]

    def of(self, job: Job) -> dict[str, float]:
        """Seconds that it has stood first in line, by reason."""
        return rounded(self.stood.get(job.id, job.stood))

    def forget(self, job: int) -> None:
        """It has ended; its figures are written down with it."""
        self.stood.pop(job, None)

    def text(self) -> str:
        """What is to be kept."""
        sums = {gpu: (round(found.held, 3), rounded(found.idle)) for gpu, found in self.gpus.items()}
        held = [gpu for gpu, use in self._moment.uses.items() if use == HELD]
        stood = {job: rounded(self.stood[job]) for job in [*self.stood][-MOST:]}
        return json.dumps({"gpus": sums, "stood": stood, "held": held, "at": self._since, "boot": self.boot})


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    """To milliseconds, for people and for the disk."""
    return {reason: round(some, 3) for reason, some in seconds.items()}
