"""The core alone: random histories, with `validate()` after every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.job import (
    NEXT,
    STATES,
    Cancelled,
    Ended,
    Failed,
    IllegalTransitionError,
    Job,
    Queued,
    State,
    StateName,
)
from trainqueue.core.limits import Limits
from trainqueue.core.spec import JobSpec
from trainqueue.core.why import why
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SPEC = JobSpec(command=("true",), cwd="/")
GROUPS = ("g", "h")


def state(name: str) -> State:
    fields: dict[str, dict[str, Any]] = {
        "queued": {},
        "pending": {"gpu_ids": ("a",), "at": 1.0},
        "running": {"gpu_ids": ("a",), "pid": 1, "started_at": 1.0},
        "completed": {"ended_at": 2.0},
        "failed": {"ended_at": 2.0, "cause": "exit"},
        "cancelled": {"ended_at": 2.0},
        "lost": {"ended_at": 2.0, "cause": "reboot"},
    }
    return STATES[name](**fields[name])


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
def test_only_the_table_decides(before: str, after: str) -> None:
    job = Job(1, SPEC, "me", 0.0, 0, 0, state=state(before))
    if after in NEXT[job.state.name]:
        job.become(state(after))
        assert job.state.name == after
    else:
        with pytest.raises(IllegalTransitionError):
            job.become(state(after))
        assert job.state == state(before)


def test_the_table_is_the_contracts() -> None:
    ended = {"completed", "failed", "cancelled", "lost"}
    contract = {
        "queued": {"pending", "cancelled"},
        "pending": {"running", "failed", "cancelled", "queued"},
        "running": {"completed", "failed", "cancelled", "lost", "queued"},
        **{name: {"queued"} for name in ended},
    }
    assert contract == NEXT
    assert {*STATES} == {*get_args(StateName)} == {*contract}
    assert {name for name in STATES if isinstance(state(name), Ended)} == ended


def test_fifo_and_position() -> None:
    core = Core(["a"])
    core.handle(ev.Submit((SPEC,) * 4, "me"), 0.0)
    assert [core.line.position(core.jobs[job]) for job in (2, 3, 4)] == [1, 2, 3]
    core.handle(ev.Move(4, position=1), 0.0)
    assert [job.id for job in core.line.page(0, 10)] == [4, 2, 3]
    done = ev.Result(0, None, None, "", 1.0, 2.0)
    effects = core.handle(ev.AttemptEnded(1, 1, done), 2.0)
    assert [effect.job.id for effect in effects if isinstance(effect, fx.Start)] == [4]


def test_a_failed_dependency_cancels_the_chain() -> None:
    core = Core(["a"])
    core.handle(ev.Submit((SPEC,), "me"), 0.0)
    for before in range(1, 2000):
        core.handle(ev.Submit((JobSpec(command=("true",), cwd="/", after=(before,)),), "me"), 0.0)
    core.handle(ev.AttemptStarted(1, 1, 42, 1.0), 1.0)
    effects = core.handle(ev.AttemptEnded(1, 1, ev.Result(3, None, None, "", 1.0, 2.0)), 2.0)
    assert len([effect for effect in effects if isinstance(effect, fx.Changed)]) == 2000
    assert not core.jobs


def spec(**fields: Any) -> JobSpec:
    return JobSpec(command=("true",), cwd="/", **fields)


def wakes(effects: list[fx.Effect]) -> list[float]:
    return [effect.at for effect in effects if isinstance(effect, fx.WakeAt)]


def unblock(effects: list[fx.Effect]) -> ev.Unblock:
    """What is to be sent when the time of the block is over."""
    [block] = [effect.block for effect in effects if isinstance(effect, fx.UnblockAfter)]
    return ev.Unblock(block)


def is_now(core: Core, job: int) -> str:
    return core.jobs[job].state.name


def test_one_alarm_for_all_that_waits_for_a_moment() -> None:
    core = Core(["a"])
    assert wakes(core.handle(ev.Submit((spec(not_before=500.0),), "me"), 0.0)) == [500.0]
    assert wakes(core.handle(ev.Submit((spec(not_before=900.0),), "me"), 1.5)) == []
    assert wakes(core.handle(ev.Submit((spec(not_before=300.0),), "me"), 1.5)) == [300.0]
    assert wakes(core.handle(ev.Cancel(3), 2.0)) == [500.0]
    assert wakes(core.handle(ev.Cancel(1), 3.0)) == [900.0]
    core.handle(ev.Tick(), 900.0)
    assert is_now(core, 2) == "pending"


def test_a_cancelled_job_is_not_retried_however_it_ends() -> None:
    core = Core(["a"])
    core.handle(ev.Submit((spec(retries={"exit": 5, "runner-died": 5}),) * 2, "me"), 0.0)
    core.handle(ev.AttemptStarted(1, 1, 7, 1.0), 1.0)
    core.handle(ev.Cancel(1), 1.0)
    core.handle(ev.AttemptEnded(1, 1, ev.Result(3, None, None, "", 1.0, 2.0)), 2.0)
    core.handle(ev.AttemptStarted(2, 1, 8, 2.0), 2.0)
    core.handle(ev.Cancel(2), 2.0)
    core.handle(ev.AttemptLost(2, 1, "runner-died"), 3.0)
    assert not core.jobs
    assert core.counts["cancelled"] == core.counts["lost"] == 1


@pytest.mark.parametrize("asked", [False, True])
def test_out_of_memory_is_a_cause_of_its_own_unless_somebody_asked_for_the_end(asked: bool) -> None:  # noqa: FBT001
    core = Core(["a"])
    core.handle(ev.Submit((spec(retries={"exit": 5}),), "me"), 0.0)
    core.handle(ev.AttemptStarted(1, 1, 7, 1.0), 1.0)
    if asked:
        core.handle(ev.Cancel(1), 1.0)
    effects = core.handle(ev.AttemptEnded(1, 1, ev.Result(1, None, "out-of-memory", "why", 1.0, 2.0)), 2.0)
    [state] = [effect.job.state for effect in effects if isinstance(effect, fx.Changed)]
    expected = Cancelled if asked else Failed
    assert state == expected(2.0, "user" if asked else "out-of-memory", 1.0, ("a",), 1, None, "why")


def test_a_gpu_that_has_left_the_machine_is_not_given_out() -> None:
    core = Core(["new"], next_id=2)
    job = Job(1, SPEC, "me", 0.0, 0, 0, state=Queued())
    core.restore([job], {}, 0.0, paused=False, draining=False)
    core.handle(ev.Adopt(1, ("gone",)), 0.0, dispatch=False)
    core.handle(ev.Submit((spec(), spec(gpus=2)), "me"), 0.0)
    assert core.jobs[2].gpu_ids == ("new",)
    core.handle(ev.AttemptEnded(1, 1, ev.Result(0, None, None, "", 1.0, 2.0)), 2.0)
    assert core.leases.held() == {"new": {2: None}}
    core.validate()


def test_moves_without_end_keep_the_places_of_parked_jobs() -> None:
    core = Core(["a"])
    core.handle(ev.Submit((spec(),) * 3 + (spec(hold=True),) + (spec(),) * 2, "me"), 0.0)
    for turn in range(200):
        core.handle(ev.Move(2 + turn % 2, before=5), 0.0)
        core.validate()
    core.handle(ev.Release(4), 0.0)
    assert core.line.position(core.jobs[4]) in {1, 2, 3}
    assert core.line.position(core.jobs[6]) == 5


def test_a_job_whose_runners_die_before_it_starts_is_given_up() -> None:
    core = Core(["a"])
    core.handle(ev.Submit((spec(), spec()), "me"), 0.0)
    for at in range(4):
        effects = core.handle(ev.AttemptVoid(1, 1, runner_died=True), float(at))
        assert is_now(core, 1) == "queued", "the machine gets a pause between tries"
        core.handle(ev.Tick(), at + 1e6)
        assert is_now(core, 1) == "queued"
        core.handle(unblock(effects), float(at))
        assert is_now(core, 1) == "pending"
    effects = core.handle(ev.AttemptVoid(1, 1, runner_died=True), 9.0)
    ended = [effect.job.state for effect in effects if isinstance(effect, fx.Changed) and effect.job.id == 1]
    assert [(state.name, getattr(state, "cause", None)) for state in ended] == [("failed", "start-failed")]
    assert is_now(core, 2) == "pending"


def test_jobs_without_a_gpu_and_with_one_pass_each_other() -> None:
    core = Core(["a"], cpu_jobs=1)
    core.handle(ev.Submit((spec(gpus=0),) * 3 + (spec(),) * 2, "me"), 0.0)
    assert [job.id for job in core.jobs.values() if job.state.name == "pending"] == [1, 4]
    core.handle(ev.AttemptEnded(4, 1, ev.Result(0, None, None, "", 1.0, 2.0)), 2.0)
    assert is_now(core, 5) == "pending"


def ends(ended: Iterable[Job], without: int | None) -> dict[str, Any]:
    """The groups of ended jobs, as the journal knows them."""
    found: dict[str, Any] = {}
    for job in ended:
        if job.spec.group is not None and job.id != without:
            bad = None if job.state.name == "completed" else (job.id, job.state.name)
            found[job.spec.group] = found.get(job.spec.group) or bad
    return found


def step(core: Core, ended: dict[int, Job], data: st.DataObject) -> ev.Event:
    """Any event at all, as a person, a runner or the clock may send it."""
    draw = data.draw
    ids = st.integers(1, max(1, core.next_id))
    some = draw(ids)
    states: dict[int, Any] = {job: ended[job].state.name for job in ended}
    groups = ends(ended.values(), some)
    job = core.jobs.get(some)
    attempt = job.attempt if job is not None else 1
    flag, moment = st.booleans(), st.sampled_from([1.0, 86_400.0, 2.0])

    def wanted() -> JobSpec:
        return spec(
            gpus=draw(st.integers(0, 3)),
            priority=draw(st.sampled_from(["low", "normal", "high", 7])),
            hold=draw(flag),
            after=tuple(draw(st.lists(ids, max_size=2))),
            after_any=tuple(draw(st.lists(ids, max_size=1))),
            after_failed=tuple(draw(st.lists(ids, max_size=1))),
            group=draw(st.sampled_from([None, *GROUPS])),
            after_group=tuple(draw(st.lists(st.sampled_from(GROUPS), max_size=2, unique=True))),
            keep=draw(flag),
            not_before=draw(st.sampled_from([None, 100_005.0, 186_400.0])),
            retries={"exit": 1, "reboot": draw(st.integers(0, 2))},
            retry_delay=draw(st.sampled_from([None, 1.0, 86_400.0])),
            retry_backoff=draw(st.sampled_from([1.0, 1000.0])),
            retry_place=draw(st.sampled_from(["front", "back"])),
        )

    def result() -> ev.Result:
        by_us = ["cancel", "time-limit", "stalled", "start-failed", "out-of-memory", "preempt"]
        reason: Any = draw(st.sampled_from([None, None, *by_us]))
        return ev.Result(draw(st.sampled_from([0, 1])), None, reason, "", draw(moment), draw(moment), 1.0)

    choices: list[Callable[[], ev.Event]] = [
        lambda: ev.Submit((wanted(),) * draw(st.integers(1, 3)), "me", states, ends(ended.values(), None)),
        lambda: ev.Cancel(some),
        lambda: ev.Signal(some),
        lambda: ev.Suspend(some, draw(moment)),
        lambda: ev.Continue(some, draw(moment)),
        lambda: ev.Preempt(some, draw(flag), draw(moment)),
        lambda: ev.Hold(some),
        lambda: ev.Release(some),
        lambda: ev.Move(some, position=draw(st.integers(1, 5))),
        lambda: ev.Move(some, before=draw(ids)),
        lambda: ev.Move(some),
        lambda: ev.Edit(some, wanted(), draw(st.sampled_from([None, True, False])), states, groups),
        lambda: ev.SetMode(draw(flag), draw(flag)),
        lambda: ev.SetMode(paused=True, draining=False, reason="the machine was restarted"),
        lambda: ev.SetMode(paused=False, draining=False),
        ev.Tick,
        lambda: ev.Adopt(some, (f"gone {some}",)),
        lambda: ev.Progressed(some, attempt, {"fraction": 0.5}),
        lambda: ev.AttemptStarted(some, attempt, 1, draw(moment), 1.0),
        lambda: ev.AttemptEnded(some, attempt, result()),
        lambda: ev.AttemptLost(some, attempt, "runner-died", draw(st.sampled_from([None, 7.0]))),
        lambda: ev.AttemptLost(some, attempt, "reboot"),
        lambda: ev.AttemptVoid(some, attempt, runner_died=draw(flag)),
        lambda: ev.Stalled(some, attempt, draw(moment), 60.0, "no output", stop=draw(flag)),
        lambda: ev.Stirred(some, attempt),
        lambda: ev.Block("no space"),
        lambda: ev.Unblock(draw(st.integers(0, 5))),
    ]
    if some in ended and some not in core.jobs:
        choices.append(lambda: ev.Retry(ended[some].snapshot(), states, groups))
        choices.append(lambda: ev.Retry(ended[some].snapshot(), states, groups, wanted(), held=draw(flag)))
    elif job is not None:
        choices.append(lambda: ev.Retry(job, states, groups))
    return draw(st.sampled_from(choices))()


@pytest.mark.parametrize("examples", [120, pytest.param(3000, marks=pytest.mark.soak)], ids=["some", "many"])
def test_random_histories_keep_every_promise(examples: int) -> None:
    settings(max_examples=examples, deadline=None)(given(st.data())(random_history))()


def random_history(data: st.DataObject) -> None:
    limits = Limits(crash_guard_jobs=data.draw(st.sampled_from([0, 2])))
    core, ended, now = Core(["a", "b"], cpu_jobs=2, limits=limits), dict[int, Job](), 100_000.0
    to_end = 0
    for _ in range(data.draw(st.integers(1, 30))):
        now += data.draw(st.sampled_from([1.0, 1.0, 1.0, 86_400.0, -86_400.0]))
        event = step(core, ended, data)
        try:
            effects = core.handle(event, now)
        except RequestError:
            effects = []
        for effect in effects:
            if isinstance(effect, fx.Changed):
                ended.pop(effect.job.id, None)
                if isinstance(effect.job.state, Ended):
                    ended[effect.job.id] = effect.job
                    assert effect.job.state.started_at is None or (
                        effect.job.state.started_at <= effect.job.state.ended_at
                    )
            elif isinstance(effect, fx.UnblockAfter):
                to_end = effect.block
        core.validate()
        for job in core.jobs.values():
            assert all(why(core, job, now)) == isinstance(job.state, Queued)
    if core.blocked:  # somebody will come and end it
        core.handle(ev.Unblock(to_end), now)
        assert core.blocked is None
