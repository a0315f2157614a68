"""The core alone: random histories, with `validate()` after every step."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.job import NEXT, STATES, IllegalTransitionError, Job, Pending, Running, State
from trainqueue.core.spec import JobSpec
from trainqueue.errors import RequestError

SPEC = JobSpec(command=("true",), cwd="/")


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


def test_fifo_and_position() -> None:
    core = Core(["a"])
    core.handle(ev.Submit((SPEC,) * 4, "me"), 0.0)
    assert [core.line.position(core.jobs[job]) for job in (2, 3, 4)] == [1, 2, 3]
    core.handle(ev.Move(4, position=1), 0.0)
    assert [job.id for job in core.line.page(0, 10)] == [4, 2, 3]
    done = ev.Result(0, None, None, "", 1.0, 2.0)
    effects = core.handle(ev.AttemptEnded(1, 1, done), 2.0)
    assert [effect.job.id for effect in effects if isinstance(effect, ev.Start)] == [4]


def test_a_failed_dependency_cancels_the_chain() -> None:
    core = Core(["a"])
    core.handle(ev.Submit((SPEC,), "me"), 0.0)
    for before in range(1, 2000):
        core.handle(ev.Submit((JobSpec(command=("true",), cwd="/", after=(before,)),), "me"), 0.0)
    effects = core.handle(ev.AttemptEnded(1, 1, ev.Result(3, None, None, "", 1.0, 2.0)), 2.0)
    assert len([effect for effect in effects if isinstance(effect, ev.Changed)]) == 2000
    assert not core.jobs


def step(core: Core, ended: dict[int, Job], draw: st.DrawFn) -> ev.Event | None:
    ids = st.integers(1, max(1, core.next_id))
    some = draw(ids)
    spec = JobSpec(
        command=("true",),
        cwd="/",
        gpus=draw(st.integers(0, 3)),
        priority=draw(st.sampled_from(["low", "normal", "high", 7])),
        hold=draw(st.booleans()),
        after=tuple(draw(st.lists(ids, max_size=2))),
        not_before=draw(st.sampled_from([None, 5.0, 50.0])),
        retries={"exit": 1},
    )
    states: dict[int, Any] = {job: ended[job].state.name for job in ended}
    job = core.jobs.get(some)
    attempt = job.attempt if job is not None else 1
    code = draw(st.sampled_from([0, 1]))
    reason: Any = draw(st.sampled_from([None, "cancel", "time-limit", "start-failed"]))
    choices: list[ev.Event] = [
        ev.Submit((spec,) * draw(st.integers(1, 3)), "me", states),
        ev.Cancel(some),
        ev.Hold(some),
        ev.Release(some),
        ev.Move(some, position=draw(st.integers(1, 5))),
        ev.Move(some, before=draw(ids)),
        ev.Move(some),
        ev.Edit(some, spec, states),
        ev.SetMode(draw(st.booleans()), draw(st.booleans())),
        ev.SetMode(paused=False, draining=False),
        ev.Tick(),
        ev.AttemptStarted(some, attempt, 1, 1.0),
        ev.AttemptEnded(some, attempt, ev.Result(code, None, reason, "", 1.0, 2.0)),
        ev.AttemptLost(some, attempt, "runner-died"),
    ]
    if job is not None and isinstance(job.state, Pending) and not isinstance(job.state, Running):
        choices.append(ev.AttemptVoid(some, attempt))
    if some in ended and some not in core.jobs:
        choices.append(ev.Retry(ended[some], states))
    return draw(st.sampled_from(choices))


@settings(max_examples=1000, deadline=None)
@given(st.data())
def test_random_histories_keep_every_promise(data: st.DataObject) -> None:
    core, ended, now = Core(["a", "b"], cpu_jobs=2), dict[int, Job](), 0.0
    for _ in range(data.draw(st.integers(1, 30))):
        now += 1
        event = data.draw(st.composite(lambda draw: step(core, ended, draw))())
        assert event is not None
        try:
            effects = core.handle(event, now)
        except RequestError:
            effects = []
        for effect in effects:
            if isinstance(effect, ev.Changed):
                ended.pop(effect.job.id, None)
                if effect.job.ended:
                    ended[effect.job.id] = effect.job
        core.validate()
