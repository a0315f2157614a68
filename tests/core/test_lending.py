"""Room of a lane or group belongs to what runs or starts: who finds no GPU lends it, and is not starved for that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from core.machine import spec
from core.test_gates import active, end, line, some, started, submitted
from hypothesis import given, settings
from hypothesis import strategies as st

from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.job import Pending, Queued
from trainqueue.core.lanes import Lane
from trainqueue.core.limits import Limits

if TYPE_CHECKING:
    from random import Random


def core_with(gpus: int, cpu_jobs: int = 1, **lanes: Lane) -> Core:
    return Core([f"gpu{at}" for at in range(gpus)], limits=Limits(cpu_jobs=cpu_jobs, lanes=lanes))


def test_who_waits_for_a_gpu_keeps_nobody_of_its_lane_from_another() -> None:
    core = core_with(2, debug=Lane(gpus=1))
    submitted(core, spec(gpu_from=(0,)), spec(lane="debug", gpu_from=(0,)), spec(lane="debug"))
    assert active(core) == [1, 3]
    assert end(core, 3) == []
    assert end(core, 1) == [2]


def test_who_comes_later_is_let_past_as_well_and_a_bound_is_a_bound() -> None:
    core = core_with(3, debug=Lane(gpus=1))
    submitted(core, spec(gpu_from=(0,)), spec(lane="debug", gpu_from=(0,)))
    submitted(core, *some(3, lane="debug"))
    assert active(core) == [1, 3]
    assert end(core, 3) == [4]
    assert end(core, 4) == [5]


def test_the_same_in_a_group() -> None:
    core = core_with(2)
    submitted(core, spec(gpu_from=(0,)), *some(1, group="g", max_running=1, gpu_from=(0,)))
    submitted(core, *some(2, group="g", max_running=1))
    assert active(core) == [1, 3]
    assert end(core, 1) == []
    assert end(core, 3) == [2]


def test_whose_gpu_came_while_its_room_was_lent_is_next_and_lends_no_more() -> None:
    core = core_with(2, debug=Lane(gpus=1))
    pinned = {"gpu_from": (0,)}
    submitted(core, spec(**pinned), spec(lane="debug", **pinned), *some(2, lane="debug"), spec(**pinned))
    assert active(core) == [1, 3]
    assert end(core, 1) == [5]  # rather than that the GPU stands idle until 3 has ended
    assert line(core) == []
    assert end(core, 3) == []  # GPU 1 is idle, and the room is that of job 2
    assert line(core) == [2]
    submitted(core, spec(lane="debug"), spec(**pinned))
    assert end(core, 5) == [2]
    assert end(core, 2) == [4]


def test_jobs_without_a_gpu_and_those_with_one_let_each_other_past() -> None:
    core = core_with(2, cpu_jobs=1)
    submitted(core, spec(gpus=0), spec(gpus=0, group="g", max_running=1), spec(group="g", max_running=1))
    assert active(core) == [1, 3]
    assert end(core, 1) == []
    assert end(core, 3) == [2]
    submitted(core, *some(2))
    submitted(core, spec(group="h", max_running=1), spec(gpus=0, group="h", max_running=1))
    assert end(core, 2) == []  # both GPUs are in use, and a plan ends where nothing is left
    core = core_with(2)
    submitted(core, spec(gpu_from=(0,)), spec(gpu_from=(0,), group="h", max_running=1))
    submitted(core, spec(gpus=0, group="h", max_running=1))
    assert active(core) == [1, 3]


def test_who_waits_for_its_lane_lends_the_room_in_its_group() -> None:
    core = core_with(3, debug=Lane(gpus=1))
    submitted(core, spec(lane="debug"), *some(300, lane="debug", group="g", max_running=1))
    submitted(core, spec(group="h", max_running=1, lane="debug"), spec(group="h", max_running=1))
    assert active(core) == [1, 303]
    assert end(core, 303) == []
    assert end(core, 1) == [2]
    assert end(core, 2) == [3]


def test_a_wide_one_is_not_starved_by_a_stream_of_its_lane() -> None:
    core = core_with(3, debug=Lane(gpus=2))
    submitted(core, spec(lane="debug"), spec(lane="debug", gpus=2), *some(20, lane="debug"))
    assert active(core) == [1]
    assert end(core, 1) == [2]


def test_a_pinned_one_is_not_starved_by_streams_of_its_lane_and_of_others() -> None:
    core = core_with(2, debug=Lane(gpus=1))
    submitted(core, spec(gpu_from=(0,)), spec(lane="debug", gpu_from=(0,)))
    passed = 0
    while 2 not in active(core):
        submitted(core, spec(gpu_from=(0,)), spec(lane="debug"))
        at_work = active(core)
        passed += 1
        assert passed < 10
        end(core, at_work[0] if passed % 2 else at_work[-1])


def test_many_that_wait_for_a_gpu_cost_little() -> None:
    core = core_with(2, debug=Lane(gpus=1))
    submitted(core, spec(gpu_from=(0,)))
    began = time.perf_counter()
    core.handle(ev.Submit(some(2000, lane="debug", gpu_from=(0,)), "me"), 1.0)
    core.handle(ev.Submit(some(1, lane="debug"), "me"), 1.0)
    assert time.perf_counter() - began < 2
    assert end(core, 1) == [2]


LIMITS = Limits(cpu_jobs=2, lanes={"debug": Lane(1), "long": Lane(2)})


def test_random_lives_leave_no_room_unused() -> None:
    lent = 0

    @settings(max_examples=25, deadline=None)
    @given(st.randoms(use_true_random=True))
    def live(random: Random) -> None:
        nonlocal lent
        core = Core(["a", "b", "c"], limits=LIMITS)
        for _ in range(random.randrange(20, 80)):
            step(core, random)
            core.validate()
            check(core)
            lent += sum(len(gate.lenders) for gate in core.gates.all())
        for _ in range(1000):
            if not (at_work := active(core)):
                break
            end(core, random.choice(at_work))
        assert not core.jobs

    live()
    assert lent > 100, "lives in which nobody lends show nothing"


def step(core: Core, random: Random) -> None:
    def wanted() -> Any:
        group, gpus = random.choice([None, "g", "h"]), random.choice([0, 1, 1, 1, 2])
        return spec(
            gpus=gpus,
            gpu_from=random.choice([(), (0, 1)] if gpus == 2 else [(), (), (0,), (1,)]),
            group=group,
            max_running=random.choice([1, 2, 3]) if group else None,
            lane=random.choice([None, "long"] if gpus == 2 else [None, "debug", "long"]),
            priority=random.choice([0, 0, 0, 1]),
            time_limit=random.choice([None, 10.0]),
        )

    waiting = [job.id for job in core.jobs.values() if isinstance(job.state, Queued)]
    at_work = active(core)
    event: ev.Event = ev.Submit(tuple(wanted() for _ in range(random.randrange(1, 3))), "me")
    if at_work and random.random() < 0.5:
        job = core.jobs[random.choice(at_work)]
        event = ev.AttemptEnded(job.id, job.attempt, ev.Result(0, None, None, "", 1.0, 2.0))
        if isinstance(job.state, Pending) and random.random() < 0.3:
            event = ev.AttemptVoid(job.id, job.attempt)
    elif waiting and random.random() < 0.3:
        event = ev.Move(random.choice(waiting), position=random.randrange(1, 5))
    elif waiting and random.random() < 0.1:
        event = ev.Cancel(random.choice(waiting))
    started(core.handle(event, 1.0))


def check(core: Core) -> None:
    """As long as a GPU is left for anybody, who stands in line and has not started lends its room, or is owed it."""
    if all(core.leases.on(gpu) or gpu in core.kept() for gpu in core.board.cards):
        return
    for job in line(core):
        assert core.jobs[job].spec.gpus == 0 or core.gates.lends(core.jobs[job]), job
