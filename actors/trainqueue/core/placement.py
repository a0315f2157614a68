"""Which waiting job starts next, and on which GPUs. The one place that decides it.

FIFO with reservations. The line is walked from its head, over all jobs that need GPUs. One that finds room starts. One
that does not keeps, on every GPU that it could use, the earliest time at which it could start there; whoever stands
further back passes it only if it is sure to be gone by then. So nobody is ever delayed by somebody further back, as
long as jobs end when they are expected to, and a wide job is never starved. A job of which only the time limit is known
is expected to use it up: one that ends sooner makes a wide job wait for those that were let past it meanwhile.

Times at which a job could start are the earliest that are possible, not the likely ones: they take everybody on a GPU
to end as soon as it may, and of those who wait further ahead only that they cannot start sooner than they can.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from trainqueue.core.expect import eligible, ends, lasts, stays
from trainqueue.core.line import place
from trainqueue.core.needs import ask
from trainqueue.core.spot import Spot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trainqueue.core.job import Job
    from trainqueue.core.line import Line
    from trainqueue.core.past import Past
    from trainqueue.core.slot import Slot
    from trainqueue.core.spec import JobSpec

DEPTH = 100
"""So many jobs that find no room are planned for; who stands behind them waits."""
REACH = 10_000
"""So many jobs are looked at: those that this machine has too few GPUs for are in nobody's way, but cost time."""


@dataclass(slots=True)
class Placement:
    """A start that may happen now. `share` in bytes of each of its GPUs; None: they are its own.

    Not frozen, like a Slot: that takes longer to make.
    """

    job: Job
    gpu_ids: tuple[str, ...]
    share: int | None


def plan(
    line: Line, slots: Sequence[Slot], running: Callable[[int], Job], now: float, past: Past
) -> Iterator[Placement]:
    """Every start that may happen now, in order. Jobs may be taken out of the line meanwhile, nothing else changed.

    What it has given out it takes as taken, whether the caller starts the job or only looks at its GPUs first.
    `running` knows the jobs on the slots by id.
    """
    return Walk(slots, running, now, past).along(line)


def kept(line: Line, slots: Sequence[Slot], running: Callable[[int], Job], now: float, past: Past) -> dict[str, int]:
    """GPUs with room that are kept from jobs further back, and for which waiting job; after the starts of now."""
    walk = Walk(slots, running, now, past)
    for _ in walk.along(line):
        pass
    return walk.kept()


class Walk:
    """One walk along the line; `reserved` says of those who found no room when they could start at the earliest.

    `stuck`: they, and those for whom this machine has too few GPUs as far as is known.
    `reached`: whoever stands further back it has not looked at, since nothing was left for them.
    """

    def __init__(self, slots: Sequence[Slot], running: Callable[[int], Job], now: float, past: Past) -> None:
        self.spots = {slot.id: Spot(slot) for slot in slots}
        self._all = [*self.spots.values()]
        self.reserved: dict[int, float] = {}
        self.stuck: list[Job] = []
        self.reached: tuple[float, ...] = ()
        self._slots, self._running, self._now, self._past = slots, running, now, past
        self._given: dict[int, JobSpec] = {}
        """The jobs that have found room."""
        self._ends: dict[int, float] = {}
        self._eligible: dict[object, tuple[list[Spot], int | None]] = {}

    def along(self, line: Line) -> Iterator[Placement]:
        if self._is_over(0):
            return
        for looked, job in enumerate(line.walk(needs_gpu=True), 1):
            self.reached = place(job)
            if (found := self._place(job)) is not None:
                yield found
            else:
                self.stuck.append(job)
            if self._is_over(looked):
                return
        self.reached = (inf,)

    def kept(self) -> dict[str, int]:
        """GPU id -> the job that it is kept for."""
        spots = self.spots.values()
        return {spot.slot.id: spot.keeper for spot in spots if spot.keeper is not None and spot.left > 0}

    def _is_over(self, looked: int) -> bool:
        """Whether nothing is left for those behind, or enough have been looked at."""
        if looked >= REACH or len(self.reserved) >= DEPTH:
            return True
        for spot in self._all:  # noqa: SIM110  (asked for each job: a generator costs more than the answer)
            if spot.left > 0 and spot.limit > self._now:
                return False
        return True

    def _place(self, job: Job) -> Placement | None:
        """Where it starts now; or else it gets a reservation, if this machine could ever run it."""
        spots, share = self._asks(job.spec)
        gpus = job.spec.gpus
        if len(spots) < gpus:
            return None
        longest = lasts(job.spec, self._past).latest if self.reserved else None  # before that all may stay for ever
        able = [spot for spot in spots if spot.room(share) and spot.lets(self._now, longest)]
        if len(able) < gpus:
            self._reserve(job, spots, share)
            return None
        if len(able) > gpus:
            able.sort(key=_whole if share is None else _shared)
            able = sorted(able[:gpus], key=_index)
        for spot in able:
            spot.give(job.id, share)
        self._given[job.id] = job.spec
        return Placement(job, tuple([spot.slot.id for spot in able]), share)

    def _reserve(self, job: Job, spots: list[Spot], share: int | None) -> None:
        longest = lasts(job.spec, self._past).latest
        opens = [spot.opening(share, self._now, self._end) for spot in spots]
        start = _start(spots, opens, job.spec.gpus, longest)
        self.reserved[job.id] = start
        stir = min(start, *(spot.stir for spot in spots))
        for spot, opening in zip(spots, opens, strict=True):
            spot.stir = min(spot.stir, stir)
            if max(start, opening) < spot.limit:
                spot.limit, spot.keeper = max(start, opening), job.id

    def _asks(self, spec: JobSpec) -> tuple[list[Spot], int | None]:
        """See `eligible`; many jobs ask for the same."""
        if spec.gpu_memory is None and not (spec.gpu_from or spec.gpu_name or spec.gpu_min_memory):
            return self._all, None
        key = ask(spec)
        found = self._eligible.get(key)
        if found is None:
            slots, share = eligible(spec, self._slots, self._past)
            found = self._eligible[key] = [self.spots[slot.id] for slot in slots], share
        return found

    def _end(self, job_id: int) -> float:
        """When a job on a GPU ends at the earliest."""
        if job_id not in self._ends:
            spec = self._given.get(job_id)
            if spec is not None:
                window = stays(spec, self._now, self._now, self._past)
            else:
                window = ends(self._running(job_id), self._now, self._past)
            self._ends[job_id] = window.earliest
        return self._ends[job_id]


def _start(spots: list[Spot], opens: list[float], gpus: int, longest: float | None) -> float:
    """The earliest time at which so many are open to the job, and let it stay.

    Where it could not end before somebody further ahead may start, it may come once that one has. `opens` is changed.
    """
    while True:
        start = sorted(opens)[gpus - 1]
        late = False
        for at, spot in enumerate(spots):
            if opens[at] <= start < spot.limit and opens[at] < spot.stir and not spot.lets(start, longest):
                opens[at], late = spot.stir, True
        if not late:
            return start


def _index(spot: Spot) -> int:
    return spot.slot.index


def _whole(spot: Spot) -> tuple[float, int]:
    """Where the gap is the shortest that it fits, so that the longer ones stay for longer jobs."""
    return spot.limit, spot.slot.index


def _shared(spot: Spot) -> tuple[int, float, int]:
    """Where the fewest are, since people want all their GPUs to be used."""
    return len(spot.tenants), spot.limit, spot.slot.index
