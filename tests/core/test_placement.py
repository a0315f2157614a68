"""Which job starts on which GPUs: one case a rule. Random lines are in test_placement_random.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from simulated import GIB, gpus

from trainqueue.core import placement
from trainqueue.core.job import Job, Running
from trainqueue.core.line import GAP, Line
from trainqueue.core.past import NoPast, Runs
from trainqueue.core.placement import DEPTH, Placement, kept, plan
from trainqueue.core.slot import Slot, Tenant
from trainqueue.core.spec import JobSpec, band

if TYPE_CHECKING:
    from trainqueue.core.past import Past

NOW = 1000.0


class Scene:
    """GPUs, who runs on them and since when, and a line; ids from 1 for those who run, from 101 for the line."""

    def __init__(self, slots: list[Slot], past: Past | None = None) -> None:
        self.slots, self.past = slots, past or NoPast()
        self.line = Line()
        self.jobs: dict[int, Job] = {}

    def runs(self, *indices: int, ran: float = 0.0, **fields: Any) -> Job:
        """A job on these GPUs; `share` and `used` in GiB, `settled`."""
        tenant = Tenant(fields.pop("share", None), fields.pop("settled", True), fields.pop("used", None))
        job = self._job(len(self.jobs) + 1, gpus=len(indices), **fields)
        job.state = Running(tuple(self.slots[at].id for at in indices), 42, NOW - ran, share=tenant.share)
        for at in indices:
            self.slots[at].tenants[job.id] = tenant
        return job

    def waits(self, width: int = 1, **fields: Any) -> Job:
        job = self._job(101 + len(self.line), gpus=width, **fields)
        self.line.add(job, ready=True)
        return job

    def _job(self, job_id: int, **fields: Any) -> Job:
        spec = JobSpec(command=("true",), cwd="/", **fields)
        job = Job(job_id, spec, "me", 0.0, band(spec), job_id * GAP)
        self.jobs[job_id] = job
        return job

    def starts(self) -> dict[int, list[int]]:
        """Job id -> the indices of its GPUs."""
        index = {slot.id: slot.index for slot in self.slots}
        found = plan(self.line, self.slots, self.jobs.__getitem__, NOW, self.past)
        return {one.job.id: [index[gpu] for gpu in one.gpu_ids] for one in found}

    def kept(self) -> dict[int, int]:
        """The indices of the GPUs that are kept for somebody -> his id."""
        index = {slot.id: slot.index for slot in self.slots}
        found = kept(self.line, self.slots, self.jobs.__getitem__, NOW, self.past)
        return {index[gpu]: job_id for gpu, job_id in found.items()}


def test_in_order_of_the_line_and_of_the_gpus() -> None:
    scene = Scene(gpus(4))
    scene.waits(2)
    scene.waits(0)
    scene.waits(1)
    scene.waits(1, priority="high")
    assert scene.starts() == {104: [0], 101: [1, 2], 103: [3]}
    assert scene.kept() == {}


def test_a_wide_job_keeps_what_is_free_until_it_can_start() -> None:
    scene = Scene(gpus(4))
    scene.runs(0, time_limit=100.0)
    scene.runs(1, time_limit=300.0)
    scene.waits(4)
    scene.waits(time_limit=301.0)
    scene.waits(time_limit=300.0)
    scene.waits()
    assert scene.starts() == {103: [2]}
    assert scene.kept() == {3: 101}


def test_nobody_passes_where_nobody_knows() -> None:
    scene = Scene(gpus(2))
    scene.runs(0)
    scene.waits(2)
    scene.waits(time_limit=1.0)
    assert scene.starts() == {}
    assert scene.kept() == {1: 101}


def test_who_has_run_before_may_pass() -> None:
    class Past:
        def runs(self, spec: JobSpec) -> Runs:
            return Runs(10.0, 90.0) if spec.name == "known" else Runs()

    scene = Scene(gpus(2), Past())
    scene.runs(0, time_limit=100.0)
    scene.waits(2)
    scene.waits(name="unknown")
    scene.waits(name="known")
    assert scene.starts() == {103: [1]}


def test_a_job_in_the_way_of_nobody_starts_on_other_gpus() -> None:
    """The head wants GPU 0 alone; what is free elsewhere is not kept for it."""
    scene = Scene(gpus(3))
    scene.runs(0)
    scene.waits(gpu_from=(0,))
    scene.waits(2)
    assert scene.starts() == {102: [1, 2]}
    assert scene.kept() == {}


def test_a_long_job_waits_for_one_further_ahead_and_lets_short_ones_pass() -> None:
    scene = Scene(gpus(2))
    scene.runs(0, time_limit=100.0)
    scene.waits(2, time_limit=50.0)
    scene.waits()
    scene.waits(time_limit=100.0)
    assert scene.starts() == {103: [1]}


def test_the_shortest_gap_that_fits_is_taken_first() -> None:
    scene = Scene(gpus(4))
    scene.runs(3, time_limit=100.0)
    scene.waits(2, gpu_from=(2, 3))
    scene.waits(time_limit=60.0)
    scene.waits()
    assert scene.starts() == {102: [2], 103: [0]}


@pytest.mark.parametrize("usable", [False, True])
def test_a_gpu_with_a_foreign_process_may_be_free_at_any_moment(usable: bool) -> None:  # noqa: FBT001
    slots = [Slot("GPU-0", 0, "", None, usable=usable), Slot("GPU-1", 1, "", None)]
    scene = Scene(slots)
    scene.waits(2)
    scene.waits(time_limit=1.0)
    assert scene.starts() == ({101: [0, 1]} if usable else {})
    assert scene.kept() == ({} if usable else {1: 101})


def test_the_grace_that_a_job_asks_for_counts() -> None:
    scene = Scene(gpus(2))
    scene.runs(0, time_limit=12.0)
    scene.waits(2)
    scene.waits(time_limit=8.0, grace=60.0)
    scene.waits(time_limit=8.0)
    assert scene.starts() == {103: [1]}


def test_who_asks_for_more_than_there_is_keeps_nothing() -> None:
    scene = Scene(gpus(2))
    for _ in range(3 * DEPTH):
        scene.waits(3)
    scene.waits(gpu_min_memory=80 * GIB)
    scene.waits(gpu_memory=25 * GIB)
    last = scene.waits()
    assert scene.starts() == {last.id: [0]}
    assert scene.kept() == {}


def test_nobody_is_planned_for_behind_so_many_without_room() -> None:
    scene = Scene(gpus(2))
    scene.runs(0, time_limit=100.0)
    for _ in range(DEPTH - 1):
        scene.waits(2)
    short = scene.waits(time_limit=1.0)
    assert scene.starts() == {short.id: [1]}
    scene.line.remove(short)
    scene.waits(2)
    scene.waits(time_limit=1.0)
    assert scene.starts() == {}


def test_what_is_given_out_is_taken_and_the_line_may_change_meanwhile() -> None:
    scene = Scene(gpus(64))
    for _ in range(100):
        scene.waits()
    found: list[int] = []
    for one in plan(scene.line, scene.slots, scene.jobs.__getitem__, NOW, scene.past):
        scene.line.remove(one.job)
        found.append(one.job.id)
    assert found == [*range(101, 165)]


def test_who_has_just_been_given_its_gpus_counts_as_running() -> None:
    scene = Scene(gpus(2))
    scene.waits(time_limit=100.0)
    scene.waits(2)
    scene.waits(time_limit=101.0)
    scene.waits(time_limit=100.0)
    assert scene.starts() == {101: [0], 104: [1]}


def shared(free: int | None = None) -> list[Slot]:
    return [Slot("GPU-0", 0, "", 24 * GIB, memory_free=None if free is None else free * GIB)]


def test_sharers_go_where_the_fewest_are() -> None:
    scene = Scene(gpus(2))
    scene.runs(0, share=8 * GIB)
    scene.waits(gpu_memory=8 * GIB)
    scene.waits(gpu_memory=8 * GIB)
    assert scene.starts() == {101: [1], 102: [0]}


def test_a_sharer_waits_until_the_one_before_has_settled() -> None:
    scene = Scene(gpus(1))
    scene.waits(gpu_memory=GIB)
    scene.waits(gpu_memory=GIB)
    assert scene.starts() == {101: [0]}
    scene.runs(0, share=GIB, settled=False)
    assert scene.starts() == {}


@pytest.mark.parametrize(
    ("free", "used", "share", "starts"),
    [
        (None, None, 14, True),
        (None, None, 15, False),
        (24, 0, 14, True),
        (16, 8, 14, True),
        (15, 8, 14, False),
        (13, 10, 14, False),
        (14, 10, 14, True),
        (12, 12, 12, True),
        (12, 12, 13, False),
        (14, None, 14, True),
        (16, None, 14, True),
        (13, None, 14, False),
    ],
)
def test_shares_and_measured_memory_must_both_do(free: int | None, used: int | None, share: int, starts: bool) -> None:  # noqa: FBT001
    """A tenant has 10 of 24 GiB, and uses so many; so many are free by measure."""
    scene = Scene(shared(free))
    scene.runs(0, share=10 * GIB, used=None if used is None else used * GIB)
    scene.waits(gpu_memory=share * GIB)
    assert scene.starts() == ({101: [0]} if starts else {})


def test_whole_and_shared_keep_apart() -> None:
    scene = Scene(gpus(2))
    scene.runs(0)
    scene.runs(1, share=GIB)
    scene.waits(gpu_memory=GIB, gpu_from=(0,))
    scene.waits(gpu_from=(1,))
    assert scene.starts() == {}
    assert scene.kept() == {1: 102}, "a sharer would find room on it"


def test_a_sharer_on_several_gpus_needs_its_share_of_each() -> None:
    scene = Scene(gpus(2))
    scene.runs(0, share=20 * GIB, time_limit=100.0)
    scene.waits(2, gpu_memory=8 * GIB)
    scene.waits(gpu_memory=2 * GIB, time_limit=100.0)
    scene.waits(gpu_memory=2 * GIB, time_limit=101.0)
    assert scene.starts() == {102: [1]}
    assert scene.kept() == {0: 101}


def test_a_sharer_may_start_when_enough_of_the_others_have_ended() -> None:
    """12 of 24 GiB: free when the first two of three have gone, after 200 s."""
    scene = Scene(gpus(2))
    for limit in (300.0, 100.0, 200.0):
        scene.runs(0, share=7 * GIB, time_limit=limit)
    scene.runs(1, time_limit=900.0)
    scene.waits(gpu_memory=12 * GIB)
    scene.waits(gpu_memory=GIB, time_limit=201.0)
    scene.waits(gpu_memory=GIB, time_limit=200.0)
    assert scene.starts() == {103: [0]}


def test_on_a_gpu_of_unknown_size_a_sharer_is_alone() -> None:
    scene = Scene([Slot("cpu:0", 0, "cpu", None)])
    scene.waits(gpu_memory=GIB)
    scene.waits(gpu_memory=GIB)
    assert scene.starts() == {101: [0]}
    scene.runs(0, share=GIB)
    assert scene.starts() == {}


def test_auto_takes_a_whole_gpu_the_first_time_and_shares_after() -> None:
    class Past:
        def runs(self, spec: JobSpec) -> Runs:
            return Runs(peak_memory=10 * GIB) if spec.cwd == "/known" else Runs()

    scene = Scene(gpus(2), Past())
    scene.runs(0, share=4 * GIB)
    first, again = scene.waits(gpu_memory="auto"), scene.waits(gpu_memory="auto")
    again.spec = JobSpec(command=("true",), cwd="/known", gpu_memory="auto")
    found = {one.job.id: one.share for one in plan(scene.line, scene.slots, scene.jobs.__getitem__, NOW, scene.past)}
    assert found == {first.id: None, again.id: 11 * GIB}


def test_nothing_free_costs_nothing_and_a_blocked_head_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """By count, since a machine may be busy: how many jobs are looked at. Times are in tests/bench/months.py."""
    looked: list[int] = []

    class Counted(placement.Walk):
        def _place(self, job: Job) -> Placement | None:
            looked.append(job.id)
            return super()._place(job)

    monkeypatch.setattr(placement, "Walk", Counted)
    scene = Scene(gpus(2))
    scene.runs(0)
    scene.runs(1, time_limit=100.0)
    for _ in range(10_000):
        scene.waits(2, time_limit=200.0)
    assert scene.starts() == {}
    assert looked == []
    scene.slots[0].tenants.clear()
    assert scene.starts() == {}
    assert len(looked) == DEPTH
