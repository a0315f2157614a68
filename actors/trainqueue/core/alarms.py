"""What waits for a moment: jobs that may not start before a time, and a machine that gets a pause."""

from __future__ import annotations

from sortedcontainers import SortedSet


class Alarms:
    """Times in seconds since 1970. `set_for` is when somebody has been asked to wake us."""

    def __init__(self) -> None:
        self.jobs: SortedSet[tuple[float, int]] = SortedSet()
        """(not_before, id) of the parked jobs whose time has not come."""
        self.pause_ends: float | None = None
        self.set_for: float | None = None

    def add(self, at: float, job: int) -> None:
        self.jobs.add((at, job))

    def discard(self, at: float, job: int) -> None:
        self.jobs.discard((at, job))

    def ring(self, now: float) -> list[int]:
        """The jobs whose time has come; a pause that is over is taken away."""
        self.set_for = None
        if self.pause_ends is not None and self.pause_ends <= now:
            self.pause_ends = None
        return [job for _, job in self.jobs.irange(None, (now, 2**63))]

    def next(self) -> float | None:
        """When to be woken, unless that has been asked for already: once for all, at the earliest moment."""
        moments = [at for at, _ in self.jobs[:1]] if self.jobs else []
        if self.pause_ends is not None:
            moments.append(self.pause_ends)
        wanted = min(moments, default=None)
        fresh = wanted if wanted != self.set_for else None
        self.set_for = wanted
        return fresh
