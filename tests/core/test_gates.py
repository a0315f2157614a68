"""`max_running` of a group: who may stand in the line, who waits beside it; and random lives of groups and lanes."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
from core.machine import spec
from hypothesis import given, settings
from hypothesis import strategies as st

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.job import Pending, Queued, Running
from trainqueue.core.lanes import Choice, Lane
from trainqueue.core.limits import Limits
from trainqueue.core.line import GAP
from trainqueue.core.why import why
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from random import Random

    from trainqueue.core.spec import JobSpec

DONE = ev.Result(0, None, None, "", 1.0, 2.0)


def some(count: int, **fields: Any) -> tuple[JobSpec, ...]:
    return (spec(**fields),) * count


def submitted(core: Core, *specs: JobSpec) -> list[int]:
    first = core.next_id
    core.handle(ev.Submit(specs, "me"), 1.0)
    core.validate()
    return [*range(first, core.next_id)]


def started(effects: list[fx.Effect]) -> list[int]:
    return [effect.job.id for effect in effects if isinstance(effect, fx.Start)]


def end(core: Core, job: int) -> list[int]:
    """The jobs that start because of it."""
    effects = core.handle(ev.AttemptEnded(job, core.jobs[job].attempt, DONE), 2.0)
    core.validate()
    return started(effects)


def active(core: Core) -> list[int]:
    return sorted(job.id for job in core.active())


def line(core: Core) -> list[int]:
    """Those that have a position, in order."""
    return [job.id for job in core.line.page(0, len(core.line)) if core.line.position(job) is not None]


def test_no_more_of_a_group_run_than_it_says_and_others_pass() -> None:
    core = Core(["a", "b", "c"])
    submitted(core, *some(5, group="sweep", max_running=2))
    [other] = submitted(core, spec())
    assert active(core) == [1, 2, other]
    assert line(core) == []
    assert why(core, core.jobs[5], 1.0) == (
        "position",
        "2 of group sweep run, which is its max_running; 2 of it are before this one",
    )
    assert why(core, core.jobs[3], 1.0)[1] == "2 of group sweep run, which is its max_running"
    assert end(core, 2) == [3]
    assert end(core, 1) == [4]
    assert end(core, 3) == [5]


def test_jobs_without_a_gpu_are_bounded_as_well() -> None:
    core = Core(["a"], cpu_jobs=8)
    submitted(core, *some(6, gpus=0, group="sweep", max_running=3))
    assert active(core) == [1, 2, 3]
    assert end(core, 1) == [4]


def test_all_active_jobs_of_the_group_count_and_each_jobs_own_bound() -> None:
    core = Core(["a", "b", "c", "d"])
    submitted(core, *some(2, group="sweep"))  # without a bound
    [narrow, wide] = submitted(core, spec(group="sweep", max_running=1), spec(group="sweep", max_running=3))
    assert active(core) == [1, 2, wide]
    assert end(core, wide) == []
    assert end(core, 1) == []
    assert end(core, 2) == [narrow]


def test_a_start_without_a_bound_keeps_out_the_one_behind_it_in_the_same_step() -> None:
    core = Core(["a", "b"])
    core.handle(ev.SetMode(paused=True, draining=False), 0.0)
    submitted(core, spec(group="sweep"), spec(group="sweep", max_running=1), spec(name="another"))
    assert started(core.handle(ev.SetMode(paused=False, draining=False), 1.0)) == [1, 3]
    core.validate()


def test_a_start_that_keeps_one_out_and_so_lets_another_in_starts_that_in_the_same_step() -> None:
    """Group and lane together: who may not pass his group's gate is in nobody's way at the lane's."""
    core = Core(["a", "b"], limits=Limits(lanes={"debug": Lane(gpus=2)}))
    core.handle(ev.SetMode(paused=True, draining=False), 0.0)
    debug = {"lane": "debug", "group": "sweep"}
    submitted(core, spec(**debug), spec(**debug, max_running=1, gpus=2), spec(lane="debug"))
    assert started(core.handle(ev.SetMode(paused=False, draining=False), 1.0)) == [1, 3]
    core.validate()


def test_an_earlier_one_that_comes_later_takes_the_room_back() -> None:
    core = Core(["a"])
    submitted(core, spec(), spec(group="g", max_running=1, hold=True), spec(group="g", max_running=1))
    assert line(core) == [3]
    core.handle(ev.Release(2), 1.0)
    core.validate()
    assert line(core) == [2]
    assert why(core, core.jobs[3], 1.0)[1] == "0 of group g run, and its max_running is 1; 1 of it is before this one"
    core.handle(ev.Move(3, position=1), 1.0)
    core.validate()
    assert line(core) == [3]
    core.handle(ev.Cancel(3), 1.0)
    assert line(core) == [2]


def test_an_edit_takes_effect_at_once() -> None:
    core = Core(["a", "b", "c"])
    submitted(core, *some(4, group="g", max_running=1))
    effects = core.handle(ev.Edit(3, spec(group="g", max_running=2)), 1.0)
    core.validate()
    assert started(effects) == [3]
    assert started(core.handle(ev.Edit(2, spec(group="other", max_running=1)), 1.0)) == [2]
    core.validate()


def test_a_retry_takes_its_place_before_the_next_of_its_group() -> None:
    core = Core(["a", "b"])
    submitted(core, spec(group="g", max_running=1, retries={"exit": 1}), spec(group="g", max_running=1))
    failed = ev.Result(1, None, None, "", 1.0, 2.0)
    core.handle(ev.AttemptStarted(1, 1, 42, 1.0), 1.0)
    assert started(core.handle(ev.AttemptEnded(1, 1, failed), 2.0)) == [1]
    core.validate()


def test_renumbered_ranks_keep_everybody_where_he_was() -> None:
    core = Core(["a"])
    core.handle(ev.SetMode(paused=True, draining=False), 0.0)
    submitted(core, *some(3), *some(3, group="g", max_running=1))
    before = core.jobs[4].rank
    for _ in range(40):  # each halves the gap in front of the last one
        core.handle(ev.Move(1, position=2), 1.0)
        core.handle(ev.Move(2, position=2), 1.0)
        core.validate()
    assert core.jobs[4].rank != before or core.jobs[3].rank != 3 * GAP
    assert line(core)[-1] == 4
    core.handle(ev.Cancel(4), 1.0)
    core.validate()
    assert line(core)[-1] == 5


def test_a_restart_finds_the_same_order() -> None:
    core = Core(["a", "b"])
    submitted(core, *some(6, group="g", max_running=1), spec(), spec())
    again = Core(["a", "b"], next_id=core.next_id)
    again.restore([job.snapshot() for job in core.jobs.values()], {}, 2.0, paused=False, draining=False)
    again.handle(ev.Tick(), 2.0)
    again.validate()
    assert (active(again), line(again)) == (active(core), line(core))
    assert end(again, 1) == [2]


def test_a_hand_over_is_no_slower_with_10000_that_may_not_start() -> None:
    def hand_over(*others: JobSpec) -> float:
        core = Core(["a", "b"])
        submitted(core, *some(300), *others)
        took: list[float] = []
        for job in range(1, 200):
            began = time.perf_counter()
            core.handle(ev.AttemptEnded(job, 1, DONE), 2.0)
            took.append(time.perf_counter() - began)
        return median(took)

    alone = min(hand_over() for _ in range(3))
    assert min(hand_over(*some(10_000, group="g", max_running=1, priority="high")) for _ in range(3)) < 5 * alone


LIMITS = Limits(cpu_jobs=2, lanes={"debug": Lane(1), "long": Lane()})
BOUNDS = [None, 1, 1, 2, 3]


@pytest.mark.parametrize("examples", [30, pytest.param(600, marks=pytest.mark.soak)], ids=["some", "many"])
def test_random_lives_exceed_no_bound(examples: int) -> None:
    """`validate` counts it all anew after each step; here each start is held against its bound."""
    starts = 0

    @settings(max_examples=examples, deadline=None)
    @given(st.randoms(use_true_random=True))
    def live(random: Random) -> None:
        nonlocal starts
        core, now = Core(["a", "b", "c"], limits=LIMITS), 0.0
        for _ in range(random.randrange(20, 120)):
            now += 1.0
            effects = step(core, random, now)
            core.validate()
            found = started(effects)
            starts += len(found)
            for job in found:
                held = [other for other in core.active() if other.spec.group == core.jobs[job].spec.group]
                bound, later = core.jobs[job].spec.max_running, found[found.index(job) + 1 :]
                assert bound is None or len(held) - len(later) <= bound
                lane = core.lanes.all[core.lanes.name(core.jobs[job].spec)]
                held = [other for other in core.active() if other.spec.lane == core.jobs[job].spec.lane]
                assert not lane.paused
                assert not lane.gpus or not core.jobs[job].spec.gpus or sum(o.spec.gpus for o in held) <= lane.gpus
            if random.random() < 0.05:
                core = restarted(core, now)
        for name in core.lanes.all:
            core.handle(ev.SetLane(name, Choice(gpus=None, paused=False)), now)
        for _ in range(1000):
            if not (some := active(core)):
                break
            end(core, some[0])
        left = [why(core, job, now) for job in core.jobs.values()]
        assert all(code in {"held", "dependency"} for code, _ in left), left

    live()
    assert starts > 500, "lives in which nothing starts show nothing"


def restarted(core: Core, now: float) -> Core:
    again = Core(["a", "b", "c"], limits=LIMITS, next_id=core.next_id)
    jobs = [job.snapshot() for job in core.jobs.values()]
    again.restore(jobs, {}, now, paused=False, draining=False, lanes=core.lanes.choices)
    again.handle(ev.Tick(), now)
    again.validate()
    return again


def step(core: Core, random: Random, now: float) -> list[fx.Effect]:
    def wanted() -> JobSpec:
        group = random.choice([None, "g", "g", "h"])
        bound = random.choice(BOUNDS) if group else None
        return spec(
            gpus=random.choice([0, 1, 1, 1, 2, 3]),
            group=group,
            max_running=bound,
            lane=random.choice([None, None, "debug", "long"]),
            hold=random.random() < 0.1,
            priority=random.choice([0, 0, 0, 1]),
            retries={"exit": 1},
            after=tuple(random.sample([*core.jobs], min(len(core.jobs), 1))) if random.random() < 0.1 else (),
        )

    waiting = [job.id for job in core.jobs.values() if isinstance(job.state, Queued)]
    run = [job for job in core.jobs.values() if isinstance(job.state, Pending | Running)]
    choices: list[ev.Event] = [ev.Submit(tuple(wanted() for _ in range(random.randrange(1, 4))), "me")]
    lane = random.choice(["default", "debug", "debug", "long"])
    choices.append(ev.SetLane(lane, Choice(random.choice([None, 1, 2, 3]), random.random() < 0.2)))
    if waiting:
        job = random.choice(waiting)
        free = core.line.position(core.jobs[job]) is None
        choices += [ev.Hold(job), ev.Release(job), ev.Edit(job, wanted()), ev.Move(job, random.randrange(1, 5))]
        choices += [ev.Cancel(job), ev.Move(job)] if random.random() < 0.3 or free else []
    if run:
        one = random.choice(run)
        result = ev.Result(random.choice([0, 1]), None, None, "", now, now)
        choices += [ev.AttemptEnded(one.id, one.attempt, result)] * 4
        choices.append(ev.AttemptVoid(one.id, one.attempt))
    try:
        return core.handle(random.choice(choices), now)
    except RequestError:  # it would wait for itself
        return []
