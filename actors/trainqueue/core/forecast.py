"""When each waiting job is expected to start, and where, and when each job is expected to end.

The present goes on as the scheduler would let it go on, several times: in each draw every job takes one of the times
that it may well take (lengths.py, chances.py). What is expected is the median of the draws; between the second and the
last but one the truth lies nearly four times out of five: 76 to 80 % in the weeks of tests/bench/forecast.py, where
jobs fail and are cancelled, of which the draws know (fates.py), and are put in front of others, of which they do not.

A job of which nothing is known never ends in these draws: who stands behind it has no median and no latest start. Once
more it ends at once, which tells their earliest start; so does, then, one of which only the time limit is known.
"""

from __future__ import annotations

from array import array
from heapq import heapify, heapreplace
from itertools import chain
from math import inf
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from trainqueue.core.chances import known
from trainqueue.core.course import Course, Memo

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from trainqueue.core.job import Job
    from trainqueue.core.lengths import Lengths
    from trainqueue.core.world import World

DRAWS, FEW = 19, 9
"""With so many, and with few, since a plan takes longer."""
EDGE = {DRAWS: 1, FEW: 0}
"""So many draws on either side lie outside the range: of n draws and the truth any order is equally likely."""


class Expected(NamedTuple):
    """Times since 1970; None where nobody knows. Of a running job the start is its own past, and left out."""

    start: float | None = None
    earliest: float | None = None
    latest: float | None = None
    gpu_ids: tuple[str, ...] | None = None
    end: float | None = None
    end_earliest: float | None = None
    end_latest: float | None = None


NOTHING = Expected()
Summary = tuple[float, float, float, float, float, float, float]
"""Start, earliest, latest; end, earliest, latest; the upper quartile of the start. Infinite where it never comes."""
NEVER: Summary = (inf, inf, inf, inf, inf, inf, inf)


class Draws:
    """The times of one forecast, by job, as arrays: nothing that the collector of cycles has to look at."""

    def __init__(self, draws: int) -> None:
        self.draws = draws
        self.summaries: dict[int, Summary] = {}
        self.gpu_ids: dict[int, tuple[str, ...]] = {}
        """As it goes where all take their medians, and when each starts then."""
        self.planned: dict[int, float] = {}
        self._starts: dict[int, array[float]] = {}
        self._ends: dict[int, array[float]] = {}

    def note(self, job: int, draw: int, start: float, end: float) -> None:
        """Draw by draw; who is never mentioned never starts."""
        if job not in self._starts:
            self._starts[job] = array("d", [inf]) * self.draws
            self._ends[job] = array("d", [inf]) * self.draws
        self._starts[job][draw], self._ends[job][draw] = start, end

    def forget(self, job: int) -> None:
        for known_of in (self.summaries, self.gpu_ids, self.planned, self._starts, self._ends):
            known_of.pop(job, None)

    def summary(self, job: int) -> Summary | None:
        if job in self._starts:
            return summary([*self._starts[job]], [*self._ends[job]])
        return self.summaries.get(job)


def summary(starts: list[float], ends: list[float]) -> Summary:
    """Median, first and last of both, without the edges. The lists are sorted."""
    starts.sort()
    ends.sort()
    draws, edge = len(starts), EDGE[len(starts)]
    middle, last = draws // 2, draws - 1 - edge
    quartile = starts[3 * draws // 4]
    return starts[middle], starts[edge], starts[last], ends[middle], ends[edge], ends[last], quartile


class Times:
    """How long each job takes in each draw; infinite, or no time at all, where nobody knows."""

    def __init__(self, world: World, lengths: Lengths, draws: int, grace: float) -> None:
        self.world, self.draws, self._lengths, self._grace = world, draws, lengths, grace
        self.past = Memo(lengths.past)
        self.unknown: set[int] = set()
        """Jobs that are."""
        self.open: set[int] = set()
        """Those that may end at any moment, of which only the latest end is known."""
        self.hopeful = False
        """Whether these are taken for unknown as well."""
        self._jobs: dict[int, array[float] | None] = {}
        lengths.look(world.running, world.now)

    def of(self, job: Job) -> Sequence[float] | None:
        """Of a waiting or running job; by draw, and behind them the median. Of one that runs, what is left."""
        if job.id not in self._jobs:
            self._jobs[job.id] = self._left(job) if job.id in self.world.where else self._whole(job)
        return None if self.hopeful and job.id in self.open else self._jobs[job.id]

    def forget(self, job: int) -> None:
        self._jobs.pop(job, None)

    def _whole(self, job: Job) -> array[float] | None:
        length = self._lengths.of(job.spec)
        if length is None:
            self.unknown.add(job.id)
            return None
        if length.is_open:
            self.open.add(job.id)
        return array("d", length.draw(job.id, self.draws))

    def _left(self, job: Job) -> array[float] | None:
        rest = self._lengths.left(job, self.world.now, self.draws, self._grace)
        if rest is None:
            self.unknown.add(job.id)
            return None
        if rest.is_open:
            self.open.add(job.id)
        return array("d", [*[rest.seconds[rank] for rank in rest.order], rest.seconds[self.draws // 2]])


def foretell(world: World, lengths: Lengths, grace: float = 10.0) -> Generator[None, None, dict[int, Expected]]:
    """Step by step, each about a millisecond at the most. The world is used up."""
    draws = DRAWS if world.plain else FEW
    times = Times(world, lengths, draws, grace)
    for job in chain(world.running, world.waiting):
        times.of(job)
        yield
    found = Draws(draws)
    yield from _go(world, times, found, inf)
    answer = {job.id: _ending(world.now, times.of(job), draws, is_open=job.id in times.open) for job in world.running}
    hopeful = found
    if times.unknown or times.open or None in world.opens.values():
        hopeful, times.hopeful = Draws(draws), True
        yield from _go(world, times, hopeful, 0.0)
    first = min((end for one in answer.values() if (end := one.end) is not None), default=world.now)
    world.waiting.reverse()
    while world.waiting:
        job = world.waiting.pop()
        answer[job.id] = _expected(job.id, found, hopeful, first)
        for done in (found, hopeful, times, world):
            done.forget(job.id)  # here and there, since to forget 10,000 jobs at once takes some time
        yield
    return answer


def _go(world: World, times: Times, found: Draws, unknown: float) -> Generator[None, None, None]:
    """`unknown`: so long takes whoever is unknown."""
    if world.plain and not (world.waits_for or world.later):
        yield from _queue_up(world, times, found, unknown)
        return
    for draw in range(found.draws + 1):
        yield from Course(world, times, found, draw, unknown).run()


def _queue_up(world: World, times: Times, found: Draws, unknown: float) -> Generator[None, None, None]:
    """Each takes the next GPU that comes free, whichever: all that there is to it most of the time."""
    draws = found.draws
    never = [unknown] * (draws + 1)
    left = {job.id: times.of(job) or never for job in world.running}
    frees, places = _frees(world, left, unknown, draws), _places(world, left, draws)
    gpus = [slot.id for slot in world.slots]
    for job in world.waiting:
        heaps = frees if job.spec.gpus else places
        if not heaps[0]:
            continue
        starts, ends, which = list[float](), list[float](), 0
        for heap, takes in zip(heaps, times.of(job) or never, strict=True):
            start, which = heap[0]
            end = start + takes
            heapreplace(heap, (end, which))
            starts.append(start)
            ends.append(end)
        if (planned := starts.pop()) < inf:  # where all take their medians
            found.planned[job.id] = planned
            found.gpu_ids[job.id] = (gpus[which],) if job.spec.gpus else ()
        ends.pop()
        found.summaries[job.id] = summary(starts, ends)
        yield


def _frees(
    world: World, left: Mapping[int, Sequence[float]], unknown: float, draws: int
) -> list[list[tuple[float, int]]]:
    """When each GPU comes free, by draw."""
    frees = list[list[tuple[float, int]]]()
    for draw in range(draws + 1):
        heap = list[tuple[float, int]]()
        for which, slot in enumerate(world.slots):
            at = world.now
            if slot.tenants:
                at += max(left[job][draw] if job in left else unknown for job in slot.tenants)
            elif not slot.usable:
                opens = world.opens.get(slot.id)
                at = opens if opens is not None else at + (inf if unknown else slot.opens_in)
            heap.append((at, which))
        heapify(heap)
        frees.append(heap)
    return frees


def _places(world: World, left: Mapping[int, Sequence[float]], draws: int) -> list[list[tuple[float, int]]]:
    """The same of the places for jobs that need no GPU."""
    held = [left[job.id] for job in world.running if not job.gpu_ids][: world.cpu_jobs]
    places = list[list[tuple[float, int]]]()
    for draw in range(draws + 1):
        heap = [(world.now + times[draw], which) for which, times in enumerate(held)]
        heap += [(world.now, which) for which in range(len(held), world.cpu_jobs)]
        heapify(heap)
        places.append(heap)
    return places


def _ending(now: float, left: Sequence[float] | None, draws: int, *, is_open: bool) -> Expected:
    if left is None:
        return Expected(end_earliest=now)
    ends = sorted(left[:draws])
    first = 0.0 if is_open else ends[EDGE[draws]]
    return Expected(end=now + median(ends), end_earliest=now + first, end_latest=now + ends[-1 - EDGE[draws]])


def _expected(job: int, found: Draws, hopeful: Draws, next_end: float) -> Expected:
    """Whoever waits for one of those that run is not expected before the first of them ends, as told of it.

    Of several guesses one comes true before its time, but "in 8 s" beside "14 s left" and "15 s left" reads like a
    mistake. Up to the upper quartile that is as good a guess; the range stays what it is.
    """
    its = found.summary(job)
    hoped = its if hopeful is found else hopeful.summary(job)
    if its is None and hoped is None:
        return NOTHING
    start, first, latest, end, first_end, end_latest, late = map(known, its or NEVER)
    if start is not None and late is not None:
        start = max(start, min(late, next_end, found.planned.get(job, start)))
        end = end and max(end, start)
    if hoped is not None and hopeful is not found:
        first, first_end = min(first or inf, hoped[1]), min(first_end or inf, hoped[4])
    gpu_ids = found.gpu_ids.get(job) if start is not None else None
    return Expected(start, first, latest, gpu_ids, end, first_end, end_latest)
