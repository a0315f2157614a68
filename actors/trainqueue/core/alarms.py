"""Jobs that may not start before a moment of the wall clock: their `not_before`, or that of their next attempt.

The wall clock may be set at any time, forwards and back, so an alarm is a time of day and never a duration: what
lasts a while (a block, a grace, a limit) is counted on the monotonic clock, outside the core.
"""

from __future__ import annotations

from sortedcontainers import SortedSet


class Alarms:
    """Times in seconds since 1970. `set_for` is when somebody has been asked to wake us."""

    def __init__(self) -> None:
        self.jobs: SortedSet[tuple[float, int]] = SortedSet()
        """(moment, id) of the parked jobs whose time has not come."""
        self.set_for: float | None = None

    def add(self, at: float, job: int) -> None:
        self.jobs.add((at, job))

    def discard(self, at: float, job: int) -> None:
        self.jobs.discard((at, job))

    def ring(self, now: float) -> list[int]:
        """The jobs whose time has come."""
        self.set_for = None
        return [job for _, job in self.jobs.irange(None, (now, 2**63))]

    def next(self) -> float | None:
        """When to be woken, unless that has been asked for already: once for all, at the earliest moment."""
        wanted: float | None = self.jobs[0][0] if self.jobs else None
        fresh = wanted if wanted != self.set_for else None
        self.set_for = wanted
        return fresh
