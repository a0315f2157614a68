"""One course that things may take from now on, where it is known how long each job takes: event by event.

Whoever starts is chosen by the scheduler's own plan (placement.py), behind the same gates (gates.py). Far ahead, when
nobody can tell any more who fits beside whom, the rest of the line simply takes the GPUs that come free first.
"""

from __future__ import annotations

from collections import defaultdict
from heapq import heappop, heappush
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Any

from trainqueue.core.expect import ends, stays
from trainqueue.core.line import Line
from trainqueue.core.placement import Walk
from trainqueue.core.slot import Slot, Tenant

if TYPE_CHECKING:
    from collections.abc import Generator, MutableMapping

    from trainqueue.core.forecast import Draws, Times
    from trainqueue.core.job import Job
    from trainqueue.core.past import Past, Runs
    from trainqueue.core.spec import JobSpec
    from trainqueue.core.world import World

PLANNED = 300
"""Starts that are planned; those behind them only queue up."""
DEPTH = 12
"""Jobs that find no room for which a plan keeps GPUs; the scheduler goes further."""
END, OPEN, SETTLED, DUE = range(4)
"""A job ends; a GPU may be used again; who shares has settled; a job's time has come."""
Bounds = defaultdict[tuple[str, str], list[float]]
"""When the places of groups and lanes come free that bound how many run."""


class Memo:
    """Earlier runs, looked up once a forecast."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._known: dict[object, Runs] = {}

    def runs(self, spec: JobSpec) -> Runs:
        key = (spec.cwd, spec.command)
        if key not in self._known:
            self._known[key] = self._past.runs(spec)
        return self._known[key]


class Glance(Walk):
    """A plan for a moment to come: who runs then is known by the time at which he is expected to end, or has begun."""

    def __init__(self, course: Course, slots: list[Slot], now: float) -> None:
        super().__init__(slots, course.jobs.__getitem__, now, course.past)
        self._course = course

    def _is_over(self, looked: int) -> bool:
        return len(self.reserved) >= DEPTH or super()._is_over(looked)

    def _end(self, job_id: int) -> float:
        course, now = self._course, self._now
        if job_id in course.promised:
            return max(now, course.promised[job_id])
        since = course.began.get(job_id, now)
        return stays(course.jobs[job_id].spec, since, now, self._past).earliest


class Course:
    """`found` is told of each start and end; `draw` may be the last one, where all take their medians."""

    def __init__(
        self,
        world: World,
        times: Times,
        found: Draws,
        draw: int,
        unknown: float,
    ) -> None:
        self.world, self.past, self.now = world, times.past, world.now
        self._times, self._found, self._draw, self._unknown = times, found, draw, unknown
        self.jobs = world.jobs
        self.began: dict[int, float] = {}
        """Those that have started in this course."""
        self.promised = {job.id: ends(job, world.now, self.past).earliest for job in world.running if job.gpu_ids}
        """When those that run already were to end, as the scheduler sees it."""
        self._line = Line()
        self._gates = world.gates(self._line)
        self._slots = {slot.id: slot for slot in world.slots}
        self._free_places = world.cpu_jobs - sum(not job.gpu_ids for job in world.running)
        self._needs = dict(world.needs)
        self._where = dict(world.where)
        self.ended: dict[int, float] = {}
        """When those that run then, or did, end."""
        self._gathered: dict[int, float] = {}
        """When gatherings (world.py) are over."""
        self._early = {*world.later}
        self._events: list[tuple[float, int, int, str]] = []
        """Moment, kind, job, GPU."""
        self._planned = 0
        for job in world.running:
            left = times.of(job)
            self.ended[job.id] = self.now + (unknown if left is None else left[draw])
            self._at(self.ended[job.id], END, job.id)
        for gpu, at in world.opens.items():
            hope = inf if unknown else self.now + self._slots[gpu].opens_in
            self._at(hope if at is None else at, OPEN, 0, gpu)

    def _at(self, moment: float, kind: int, job: int, gpu: str = "") -> None:
        if moment < inf:
            heappush(self._events, (moment, kind, job, gpu))

    def run(self) -> Generator[None, None, None]:
        for job in self.world.waiting:
            self._gates.add(job, ready=job.id in self.world.ready)
            if job.id in self.world.later:
                self._at(self.world.later[job.id], DUE, job.id)
            yield
        yield from self._start()
        while self._events and len(self._line):
            self.now = self._events[0][0]
            while self._events and self._events[0][0] <= self.now:
                yield from self._happen(*heappop(self._events)[1:])
                yield
            yield from self._start()
            if self._planned >= PLANNED:
                yield from self._queue_up()
                break
        gone: list[MutableMapping[Any, Any]] = [self.ended, self.began, self._where, self._needs, *self._line.parts()]
        for known in gone:
            known.clear()  # one by one, since to forget 10,000 jobs at once takes some time
            yield

    # -- what happens

    def _happen(self, kind: int, job_id: int, gpu: str) -> Generator[None, None, None]:
        if kind == END:
            self._leave(self.jobs[job_id])
            yield from self._let_on(job_id)
        elif kind == OPEN:
            self._slots[gpu] = _slot(self._slots[gpu], self._slots[gpu].tenants, usable=True)
        elif kind == SETTLED:
            for one in self._where[job_id]:
                tenants = self._slots[one].tenants
                if job_id in tenants:
                    settled = {job_id: Tenant(tenants[job_id].share)}
                    self._slots[one] = _slot(self._slots[one], tenants | settled)
        else:
            self._early.discard(job_id)
            self._ready_if_due(job_id)

    def _leave(self, job: Job) -> None:
        self._gates.free(job)
        for gpu in self._where[job.id]:
            slot = self._slots.get(gpu)
            if slot is not None:
                left = {other: tenant for other, tenant in slot.tenants.items() if other != job.id}
                self._slots[gpu] = _slot(slot, left, usable=True)
        self._free_places += not self._where[job.id]

    def _let_on(self, ended: int) -> Generator[None, None, None]:
        """Who has waited for this one; a gathering (world.py) is over with the last of its members."""
        for dependent in self.world.dependents.get(ended, ()):
            self._needs[dependent] -= 1
            if dependent > 0:
                self._ready_if_due(dependent)
            elif not self._needs[dependent]:
                yield from self._let_on(dependent)
            yield

    def _ready_if_due(self, job_id: int) -> None:
        if not self._needs.get(job_id) and job_id not in self._early:
            self._gates.remove(self.jobs[job_id])
            self._gates.add(self.jobs[job_id], ready=True)

    # -- starts, as in gpus.py

    def _start(self) -> Generator[None, None, None]:
        self._start_without_gpu()
        while self._line.has(needs_gpu=True):
            before = self._gates.turns
            walk = Glance(self, [*self._slots.values()], self.now)
            for placement in [*walk.along(self._line)]:
                if not self._line.has_ready(placement.job):
                    continue
                if not self._gates.claim(placement.job):
                    break
                self._take(placement.job, placement.gpu_ids, placement.share)
            yield
            self._gates.lend(walk.stuck)
            if self._gates.turns == before:
                break
            self._start_without_gpu()

    def _start_without_gpu(self) -> None:
        while True:
            while self._free_places > 0 and (job := self._line.first(needs_gpu=False)) is not None:
                if self._gates.claim(job):
                    self._take(job, (), None)
                elif self._line.first(needs_gpu=False) is job:
                    break
            if not self._gates.lend(islice(self._line.walk(needs_gpu=False), DEPTH)):
                break

    def _take(self, job: Job, gpu_ids: tuple[str, ...], share: int | None) -> None:
        self._gates.hold(job)
        self._gates.remove(job)
        for gpu in gpu_ids:
            slot = self._slots[gpu]
            self._slots[gpu] = _slot(slot, {**slot.tenants, job.id: Tenant(share, settled=share is None)})
        self._free_places -= not gpu_ids
        self._note(job, self.now, gpu_ids)
        self._at(self.ended[job.id], END, job.id)
        if share is not None:
            self._at(self.now + self.world.settle, SETTLED, job.id)
        self._planned += bool(gpu_ids)

    def _note(self, job: Job, start: float, gpu_ids: tuple[str, ...]) -> None:
        takes = self._times.of(job)
        self.began[job.id] = start
        self.ended[job.id] = start + (self._unknown if takes is None else takes[self._draw])
        self._where[job.id] = gpu_ids
        if self._draw < self._found.draws:
            self._found.note(job.id, self._draw, start, self.ended[job.id])
        else:
            self._found.gpu_ids[job.id], self._found.planned[job.id] = gpu_ids, start

    # -- far ahead

    def _queue_up(self) -> Generator[None, None, None]:
        """In the order of the line, each as soon as it finds GPUs and room within its bounds; then who had to wait."""
        yield
        gpus, places, bounds = self._openings(), self._places(), self._used()
        behind: list[Job] = []
        for job in self.world.waiting:
            yield
            if job.id in self.world.waits_for or job.id in self._early:
                behind.append(job)
            elif job.id not in self.began:
                self._queue_one(job, gpus if job.spec.gpus else places, bounds)
        for job in behind:
            yield
            if job.id not in self.began:
                self._queue_one(job, gpus if job.spec.gpus else places, bounds)

    def _queue_one(self, job: Job, servers: list[tuple[float, str]], bounds: Bounds) -> None:
        spec, asked = job.spec, job.spec.gpus or 1
        if len(servers) < asked:
            return
        if spec.gpu_memory is not None or spec.gpu_from or spec.gpu_name or spec.gpu_min_memory:
            return  # so far ahead nobody knows
        servers.sort()
        start = max(servers[asked - 1][0], self._due(job))
        held = [(self._bound(bounds, key, most), asked if key[0] == "lane" else 1) for key, most in self._bounds(spec)]
        start = max([start, *(heap[min(weight, len(heap)) - 1] for heap, weight in held)])
        if start == inf:
            return
        self._note(job, start, tuple([gpu for _, gpu in servers[:asked] if gpu]))
        end = self.ended[job.id]
        servers[:asked] = [(end, gpu) for _, gpu in servers[:asked]]
        for heap, weight in held:
            heap[:weight] = [end] * min(weight, len(heap))
            heap.sort()

    def _due(self, job: Job) -> float:
        others = self.world.waits_for.get(job.id, ())
        return max([self.world.later.get(job.id, self.now), *map(self._over, others)])

    def _over(self, other: int) -> float:
        """When a job has ended, or all of a gathering, as far as that is known when it is first asked for."""
        if other > 0:
            return self.ended.get(other, inf)
        if other not in self._gathered:
            self._gathered[other] = max(map(self._over, self.world.waits_for.get(other, ())), default=self.now)
        return self._gathered[other]

    def _openings(self) -> list[tuple[float, str]]:
        found = list[tuple[float, str]]()
        for slot in self._slots.values():
            at = max([self.now, *(self.ended.get(job, inf) for job in slot.tenants)])
            opens = self.world.opens.get(slot.id)
            closed = not (slot.usable or slot.tenants)
            found.append((at if not closed else inf if opens is None else max(at, opens), slot.id))
        return found

    def _places(self) -> list[tuple[float, str]]:
        """The same for jobs that need no GPU."""
        active = [job for job, where in self._where.items() if not where and self.ended.get(job, inf) > self.now]
        return [*[(self.now, "")] * self._free_places, *[(self.ended.get(job, inf), "") for job in active]]

    def _bounds(self, spec: JobSpec) -> list[tuple[tuple[str, str], int]]:
        found = list[tuple[tuple[str, str], int]]()
        if spec.group is not None and spec.max_running is not None:
            found.append((("group", spec.group), spec.max_running))
        cap = self.world.lanes.cap(spec) if spec.gpus else None
        if cap is not None:
            found.append((("lane", self.world.lanes.name(spec)), cap))
        return found

    def _used(self) -> Bounds:
        found: Bounds = defaultdict(list)
        for job_id, end in self.ended.items():
            spec = self.jobs[job_id].spec
            for key, _ in self._bounds(spec) if end > self.now else ():
                found[key] += [end] * (spec.gpus if key[0] == "lane" else 1)
        return found

    def _bound(self, bounds: Bounds, key: tuple[str, str], most: int) -> list[float]:
        """When each of its places comes free."""
        found = bounds[key]
        found += [self.now] * (most - len(found))
        found.sort()
        return found


def _slot(slot: Slot, tenants: dict[int, Tenant], *, usable: bool | None = None) -> Slot:
    """What is measured now says nothing of later."""
    usable = slot.usable if usable is None else usable
    return Slot(slot.id, slot.index, slot.name, slot.memory_total, usable, None, tenants, 0.0)
