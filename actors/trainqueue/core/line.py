"""The waiting line: priority bands, FIFO inside, moves; position in O(log n).

A job's place is (-band, rank, id). A move gives it a place between its new neighbours and their band, so an
explicit order beats the priority. Jobs that may not start yet (held, a dependency, too early) are parked
beside the line: they keep their place for the day they are ready, and have no position until then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sortedcontainers import SortedDict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.core.job import Job

Place = tuple[int, int, int]
GAP = 1 << 32


def place(job: Job) -> Place:
    return (-job.band, job.rank, job.id)


class Line:
    """Jobs in start order; `ready` ones have a position, `parked` ones do not."""

    def __init__(self) -> None:
        self._ready: SortedDict[Place, Job] = SortedDict()
        self._cpu: SortedDict[Place, Job] = SortedDict()
        self._parked: SortedDict[Place, Job] = SortedDict()

    def __len__(self) -> int:
        return len(self._ready) + len(self._parked)

    def add(self, job: Job, *, ready: bool) -> None:
        if not ready:
            self._parked[place(job)] = job
            return
        self._ready[place(job)] = job
        if job.spec.gpus == 0:
            self._cpu[place(job)] = job

    def remove(self, job: Job) -> None:
        key = place(job)
        if self._ready.pop(key, None) is None:
            self._parked.pop(key, None)
        self._cpu.pop(key, None)

    def head(self) -> Job | None:
        """The job that starts next."""
        return self._ready.peekitem(0)[1] if self._ready else None

    def first_without_gpu(self) -> Job | None:
        return self._cpu.peekitem(0)[1] if self._cpu else None

    def first_with_gpu(self) -> Job | None:
        """The first that needs a GPU; jobs without one in front of it are few, since they start at once."""
        return next((job for job in self._ready.values() if job.spec.gpus), None)

    def position(self, job: Job) -> int | None:
        """1 for the next one; None while parked."""
        key = place(job)
        return self._ready.index(key) + 1 if key in self._ready else None

    def page(self, offset: int, limit: int) -> Iterator[Job]:
        """Ready jobs in start order, then the parked ones, without walking what lies before `offset`."""
        for part in (self._ready, self._parked):
            for key in part.islice(offset, min(len(part), offset + limit)):
                yield part[key]
            taken = max(0, min(len(part) - offset, limit))
            limit, offset = limit - taken, max(0, offset - len(part))

    def neighbours(self, position: int) -> tuple[Place | None, Place | None]:
        """The places around the gap in front of the job at `position` (1-based)."""
        at = max(0, min(position - 1, len(self._ready)))
        before = self._ready.peekitem(at - 1)[0] if at > 0 else None
        after = self._ready.peekitem(at)[0] if at < len(self._ready) else None
        return before, after

    def renumber(self) -> list[Job]:
        """Spread the ranks again when no number is left between two neighbours. Returns the jobs changed."""
        jobs = [*self._ready.values()]
        for job in jobs:
            self._cpu.pop(place(job), None)
        self._ready.clear()
        for at, job in enumerate(jobs):
            job.rank = at * GAP
            self.add(job, ready=True)
        return jobs


def between(before: Place | None, after: Place | None, band: int) -> tuple[int, int] | None:
    """Band and rank for a job between two places, or None when no whole number is left between them."""
    if before is None and after is None:
        return band, 0
    if before is None and after is not None:
        return max(band, -after[0]), after[1] - GAP
    if after is None and before is not None:
        return min(band, -before[0]), before[1] + GAP
    assert before is not None
    assert after is not None
    if before[0] != after[0]:
        return -before[0], before[1] + GAP
    middle = (before[1] + after[1]) // 2
    return (-before[0], middle) if before[1] < middle < after[1] else None
