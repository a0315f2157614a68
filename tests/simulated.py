"""A machine in which only time passes: GPUs, a line, jobs of a known length; nothing but the placement decides.

`Machine.run` goes from event to event: ends first, then arrivals, then whatever the walk gives. Each start is checked
against what is on the GPUs by then, whoever proposed it.
"""

from __future__ import annotations

import heapq
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from trainqueue.core.expect import matching
from trainqueue.core.job import Completed, Job, Pending, Running
from trainqueue.core.line import GAP, Line
from trainqueue.core.past import NoPast
from trainqueue.core.placement import Walk
from trainqueue.core.slot import Slot, Tenant
from trainqueue.core.spec import band

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trainqueue.core.past import Past
    from trainqueue.core.placement import Placement
    from trainqueue.core.spec import JobSpec
    from trainqueue.core.spot import Spot

GIB = 2**30
Kind = Literal["end", "arrival", "settled"]


@dataclass(frozen=True, slots=True)
class Order:
    """A job that somebody submits `at` this time and that would run for `runs` seconds."""

    spec: JobSpec
    runs: float
    at: float = 0.0


def gpus(number: int, memory: int | None = 24 * GIB, name: str = "RTX 4090") -> list[Slot]:
    return [Slot(f"GPU-{index:04d}-fake", index, name, memory) for index in range(number)]


class Greedy(Walk):
    """Whatever fits starts; nothing is kept for anybody."""

    def _reserve(self, job: Job, spots: list[Spot], share: int | None) -> None:
        pass


class Fifo(Walk):
    """Nobody passes anybody."""

    def _reserve(self, job: Job, spots: list[Spot], share: int | None) -> None:
        del job, spots, share
        for spot in self.spots.values():
            spot.limit = self._now


class Machine:
    """`started` and `ended`: job id -> time. A sharer settles after `settle` seconds.

    `promised`: when a job could start at the latest, as first said of it while it was the next in line.
    """

    def __init__(
        self, slots: Sequence[Slot], *, walk: type[Walk] = Walk, past: Past | None = None, settle: float = 1.0
    ) -> None:
        self.now = 0.0
        self.line = Line()
        self.jobs: dict[int, Job] = {}
        self.runs: dict[int, float] = {}
        self.started: dict[int, float] = {}
        self.ended: dict[int, float] = {}
        self.gpu_ids: dict[int, tuple[str, ...]] = {}
        self.promised: dict[int, float] = {}
        self.walk, self.past, self.settle = walk, past or NoPast(), settle
        self._slots = {slot.id: slot for slot in slots}
        self._due: list[tuple[float, Kind, int]] = []

    def submit(self, orders: Iterable[tuple[int, Order]]) -> None:
        """Jobs with their ids, which say who is first among equals."""
        for job_id, order in orders:
            job = Job(job_id, order.spec, "me", order.at, band(order.spec), job_id * GAP)
            self.jobs[job_id], self.runs[job_id] = job, order.runs
            heapq.heappush(self._due, (order.at, "arrival", job_id))

    def run(self, until: int | None = None) -> Machine:
        """To the end, or to the start of that job."""
        while self._due and until not in self.started:
            self.step()
        return self

    def step(self) -> None:
        self.now = self._due[0][0]
        due: list[tuple[Kind, int]] = []
        while self._due and self._due[0][0] == self.now:
            due.append(heapq.heappop(self._due)[1:])
        for kind, job_id in due:
            job = self.jobs[job_id]
            if kind == "arrival":
                self.line.add(job, ready=True)
            elif kind == "end":
                self._leave(job)
            elif isinstance(job.state, Running):
                self._hold(job, settled=True)
        self._start()

    def _start(self) -> None:
        walk = self.walk([*self._slots.values()], self.jobs.__getitem__, self.now, self.past)
        for placement in walk.along(self.line):
            self._take(placement)
        head = self.line.head()
        if head is not None and head.id in walk.reserved:
            self.promised.setdefault(head.id, walk.reserved[head.id])
        if head is not None:
            assert not self.could_start(head), f"job {head.id} is the next and could start: {self._slots}"

    def _take(self, placement: Placement) -> None:
        job, share = placement.job, placement.share
        self.line.remove(job)
        job.become(Pending(placement.gpu_ids, self.now, share=share))
        job.become(Running(placement.gpu_ids, None, self.now, share=share))
        allowed = {slot.id for slot in matching(job.spec, [*self._slots.values()])}
        assert len(placement.gpu_ids) == len(set(placement.gpu_ids)) == job.spec.gpus
        assert allowed >= set(placement.gpu_ids), f"job {job.id} does not want {placement.gpu_ids}"
        self._hold(job, settled=False)
        self.started[job.id], self.gpu_ids[job.id] = self.now, placement.gpu_ids
        heapq.heappush(self._due, (self.now + self.runs[job.id], "end", job.id))
        heapq.heappush(self._due, (self.now + self.settle, "settled", job.id))

    def _hold(self, job: Job, *, settled: bool) -> None:
        assert isinstance(job.state, Running)
        for gpu in job.state.gpu_ids:
            slot = self._slots[gpu]
            tenants = slot.tenants | {job.id: Tenant(job.state.share, settled)}
            if len(tenants) > 1:
                shares = [tenant.share for tenant in tenants.values() if tenant.share is not None]
                assert len(shares) == len(tenants), f"{gpu} is held by {[*tenants]}, who do not all share"
                assert sum(shares) <= (slot.memory_total or 0), f"{gpu} has too little memory for {[*tenants]}"
                assert job.id in slot.tenants or all(one.settled for one in slot.tenants.values())
            self._slots[gpu] = replace(slot, tenants=tenants)

    def _leave(self, job: Job) -> None:
        for gpu in job.gpu_ids:
            slot = self._slots[gpu]
            left = {other: tenant for other, tenant in slot.tenants.items() if other != job.id}
            self._slots[gpu] = replace(slot, tenants=left)
        job.become(Completed(self.now))
        self.ended[job.id] = self.now

    def could_start(self, job: Job) -> bool:
        """By counting alone."""
        share = job.spec.gpu_memory
        fits = [slot for slot in matching(job.spec, [*self._slots.values()]) if has_room(slot, share)]
        return len(fits) >= job.spec.gpus

    def without_later(self) -> Machine:
        """The same moment in a world in which nobody comes any more."""
        other = copy(self)
        other.line = Line()
        other.jobs = {job_id: copy(job) for job_id, job in self.jobs.items() if job_id not in self.ended}
        for job in self.line.next(len(self.line)):
            other.line.add(other.jobs[job.id], ready=True)
        other._due = [due for due in self._due if due[1] != "arrival"]
        heapq.heapify(other._due)
        other._slots = dict(self._slots)
        other.started, other.ended, other.gpu_ids = dict(self.started), dict(self.ended), dict(self.gpu_ids)
        other.promised = dict(self.promised)
        return other


def has_room(slot: Slot, share: object) -> bool:
    if not slot.tenants:
        return share is None or slot.memory_total is None or (isinstance(share, int) and share <= slot.memory_total)
    if share is None or not all(one.settled and one.share is not None for one in slot.tenants.values()):
        return False
    taken = sum(one.share or 0 for one in slot.tenants.values())
    return isinstance(share, int) and taken + share <= (slot.memory_total or 0)
