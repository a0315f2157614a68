"""The waiting line: priority bands, FIFO inside, moves; position in O(log n).

A job's place is (-band, rank, id). A move gives it a place between its new neighbours and their band, so an
explicit order beats the priority. Jobs that may not start yet (held, a dependency, too early) are parked
beside the line: they keep their place for the day they are ready, and have no position until then.
"""

from __future__ import annotations

from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING

from sortedcontainers import SortedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trainqueue.core.job import Job

Place = tuple[int, int, int]
GAP = 1 << 32
END = 1 << 63
"""No rank is that large: the journal keeps 64 bits."""
HALF = 16
"""Jobs on either side of a place that is too narrow which are given other ranks at least."""
ROOMY = 1 << 36
"""The square of a gap that is wide enough for one job: 18 moves go into it."""
STRIDE = 16
"""Jobs that a walk reads ahead: one is the rule, and more at once are cheaper."""


def place(job: Job) -> Place:
    return (-job.band, job.rank, job.id)


class Line:
    """Jobs in start order; `ready` ones have a position, `parked` ones do not."""

    def __init__(self) -> None:
        self._ready: SortedDict[Place, Job] = SortedDict()
        self._by_need: dict[bool, SortedDict[Place, Job]] = {False: SortedDict(), True: SortedDict()}
        """The ready ones again, apart: those that need no GPU and those that do."""
        self._parked: SortedDict[Place, Job] = SortedDict()
        self.touched: tuple[float, ...] | None = None
        """The foremost place at which a job that needs a GPU has come or gone, since the newest plan (plans.py)."""

    def __len__(self) -> int:
        return len(self._ready) + len(self._parked)

    @property
    def ready(self) -> int:
        """How many have a position."""
        return len(self._ready)

    def add(self, job: Job, *, ready: bool) -> None:
        key = place(job)
        if not ready:
            self._parked[key] = job
            return
        self._ready[key] = self._by_need[job.spec.gpus > 0][key] = job
        if job.spec.gpus:
            self._touch(key)

    def remove(self, job: Job) -> None:
        key = place(job)
        if self._ready.pop(key, None) is None:
            self._parked.pop(key, None)
            return
        del self._by_need[job.spec.gpus > 0][key]
        if job.spec.gpus:
            self._touch(key)

    def _touch(self, key: Place) -> None:
        if self.touched is None or key < self.touched:
            self.touched = key

    def head(self) -> Job | None:
        """The job that starts next."""
        return self._ready.peekitem(0)[1] if self._ready else None

    def first(self, *, needs_gpu: bool) -> Job | None:
        """The foremost ready job that needs a GPU, or that needs none."""
        some = self._by_need[needs_gpu]
        return some.peekitem(0)[1] if some else None

    def has(self, *, needs_gpu: bool) -> bool:
        """Whether a ready job needs a GPU, or one needs none."""
        return bool(self._by_need[needs_gpu])

    def walk(self, *, needs_gpu: bool) -> Iterator[Job]:
        """Ready jobs that need a GPU, or that need none, in start order; they may leave the line meanwhile."""
        some = self._by_need[needs_gpu]
        if not some:
            return
        last, first = some.peekitem(0)  # most walks end there
        yield first
        while keys := [*islice(some.irange(last, inclusive=(False, True)), STRIDE)]:
            for last in keys:
                if (job := some.get(last)) is not None:
                    yield job

    def position(self, job: Job) -> int | None:
        """1 for the next one; None while parked."""
        key = place(job)
        return self._ready.index(key) + 1 if key in self._ready else None

    def has_ready(self, job: Job) -> bool:
        """Whether it has a position; what that is takes longer to say."""
        return place(job) in self._ready

    def next(self, some: int) -> list[Job]:
        """The first ready jobs, in start order."""
        return [self._ready[key] for key in self._ready.islice(0, some)]

    def everybody(self) -> Iterator[int]:
        """The ids of all that wait now, parked ones among the others, by their places now: a lasting answer."""
        return (job for _, _, job in merge([*self._ready], [*self._parked]))

    def page(self, offset: int, limit: int) -> Iterator[Job]:
        """Ready jobs in start order, then the parked ones, without walking what lies before `offset`."""
        for part in (self._ready, self._parked):
            for key in part.islice(offset, min(len(part), offset + limit)):
                yield part[key]
            taken = max(0, min(len(part) - offset, limit))
            limit, offset = limit - taken, max(0, offset - len(part))

    def neighbours(self, position: int) -> tuple[Place | None, Place | None]:
        """The places around the gap in front of the job at `position` (1-based).

        Those who wait beside the line are passed: who goes to the front is before them, who goes to the back behind.
        """
        at = max(0, min(position - 1, len(self._ready)))
        if position <= 1:
            return None, min((part.peekitem(0)[0] for part in (self._ready, self._parked) if part), default=None)
        if at == len(self._ready):
            return max((part.peekitem(-1)[0] for part in (self._ready, self._parked) if part), default=None), None
        before, after = self._ready.peekitem(at - 1)[0], self._ready.peekitem(at)[0]
        return before, next(self._parked.irange(before, after, inclusive=(False, False)), after)

    def in_front_of(self, job: Job) -> tuple[Place | None, Place]:
        """The places around the gap in front of this one, whether it has a position or not."""
        key = place(job)
        ends = (next(part.irange(None, key, (True, False), reverse=True), None) for part in (self._ready, self._parked))
        return max((end for end in ends if end is not None), default=None), key

    def parts(self) -> Iterator[SortedDict[Place, Job]]:
        """All that know jobs by their places."""
        yield from (self._ready, self._parked, *self._by_need.values())

    def spread(self, around: Place, others: Iterable[Job]) -> list[tuple[Job, int]]:
        """Other ranks for as few jobs as will do, in the same order, with room again around this place.

        The more jobs these are, the wider the gaps that they must get: so each is renumbered seldom, however many moves
        go to one place. `others` do not wait, and may have to come back to their places.
        """
        beside = SortedDict({place(job): job for job in others})
        half = HALF
        while True:
            low, jobs, high = self._stretch(around, half, beside)
            gap = GAP if low is None or high is None else (high - low) // (len(jobs) + 1)
            if gap * gap >= ROOMY * len(jobs):
                break
            half *= 2
        if low is None:  # nobody is before them
            low = jobs[0].rank - GAP if high is None else high - gap * (len(jobs) + 1)
        ranks = [(job, low + gap * at) for at, job in enumerate(jobs, 1)]
        return [(job, rank) for job, rank in ranks if job.rank != rank]

    def _stretch(
        self, around: Place, half: int, beside: SortedDict[Place, Job]
    ) -> tuple[int | None, list[Job], int | None]:
        """So many jobs on either side, and the ranks between which they stand; None where their band ends."""
        parts = (self._ready, self._parked, beside)
        first, last = (around[0], -END, 0), (around[0], END, 0)
        before = [part.irange(first, around, reverse=True) for part in parts]
        after = [part.irange(around, last, inclusive=(False, True)) for part in parts]
        down = [*islice(merge(*before, reverse=True), half + 1)]
        up = [*islice(merge(*after), half + 1)]
        low = down.pop()[1] if len(down) > half else None
        high = up.pop()[1] if len(up) > half else None
        return low, [next(part[key] for part in parts if key in part) for key in [*reversed(down), *up]], high


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
