"""Every event on a job in every state: what may follow, and what is refused with nothing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.spec import JobSpec
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from trainqueue.core.job import Job

SPEC = JobSpec(command=("true",), cwd="/")
OK = ev.Result(0, None, None, "", 1.0, 2.0)
BAD = ev.Result(3, None, None, "", 1.0, 2.0)
STATES: tuple[str, ...] = (
    "queued",
    "held",
    "pending",
    "running",
    "stopping",
    "suspended",
    "preempting",
    "completed",
    "failed",
    "cancelled",
    "lost",
)


def made(state: str) -> tuple[Core, Job]:
    """A core with job 1 in this state, and a second job behind it that keeps the queue busy."""
    core = Core(["a"])
    blocked = state in {"queued", "held"}
    if blocked:
        core.paused = True
    core.handle(ev.Submit((JobSpec(command=("true",), cwd="/", hold=state == "held"),), "me"), 0.0)
    job = core.jobs[1]
    if not blocked and state != "pending":
        core.handle(ev.AttemptStarted(1, 1, 42, 1.0), 1.0)
    steps: dict[str, list[ev.Event]] = {
        "stopping": [ev.Cancel(1)],
        "suspended": [ev.Suspend(1, 7.0)],
        "preempting": [ev.Preempt(1)],
        "completed": [ev.AttemptEnded(1, 1, OK)],
        "failed": [ev.AttemptEnded(1, 1, BAD)],
        "cancelled": [ev.Cancel(1), ev.AttemptEnded(1, 1, ev.Result(None, 15, "cancel", "", 1.0, 2.0))],
        "lost": [ev.AttemptLost(1, 1, "runner-died")],
    }
    for step in steps.get(state, []):
        core.handle(step, 2.0)
    core.validate()
    return core, job


REFUSED = "refused"
SAME = "same"
GOING: tuple[str, ...] = ("running", "suspended", "preempting")
ACTIVE: tuple[str, ...] = ("pending", "stopping", *GOING)


def in_all(states: tuple[str, ...], then: str) -> dict[str, str]:
    return dict.fromkeys(states, then)


EXPECTED: dict[str, dict[str, str]] = {
    "cancel": {"queued": "cancelled", "held": "cancelled"} | in_all(ACTIVE, SAME),
    "signal": in_all(GOING, SAME),
    "suspend": {"running": SAME, "suspended": SAME},
    "continue": in_all(GOING, SAME),
    "preempt": in_all(GOING, SAME),
    "hold": {"queued": SAME, "held": SAME},
    "release": {"queued": SAME, "held": SAME},
    "move": {"queued": SAME, "held": SAME},
    "edit": {"queued": SAME, "held": SAME},
    "retry": {"completed": "pending", "failed": "pending", "cancelled": "pending", "lost": "pending"},
    "started": in_all(STATES, SAME) | {"pending": "running"},
    "ended": in_all(STATES, SAME) | in_all(ACTIVE, "completed") | {"stopping": "cancelled"},
    "preempted": in_all(STATES, SAME) | in_all(ACTIVE, "pending") | {"stopping": "cancelled"},
    "lost": in_all(STATES, SAME) | in_all(ACTIVE, "lost") | {"preempting": "pending"},
    "void": in_all(STATES, SAME)
    | {"pending": "pending"}
    | dict.fromkeys(("running", "stopping", "suspended"), "lost")
    | {"preempting": "pending"},
    "progressed": in_all(STATES, SAME),
    "adopt": {"queued": "pending", "held": "pending"},
    "tick": in_all(STATES, SAME),
    "pause": in_all(STATES, SAME),
    "block": in_all(STATES, SAME),
    "unblock": in_all(STATES, SAME),
    "reboot": in_all(STATES, SAME) | in_all(ACTIVE, "lost") | {"preempting": "pending"},
    "stalled": in_all(STATES, SAME),
    "stirred": in_all(STATES, SAME),
}


def event(name: str, job: Job) -> ev.Event:
    events: dict[str, ev.Event] = {
        "cancel": ev.Cancel(1),
        "signal": ev.Signal(1),
        "suspend": ev.Suspend(1, 8.0),
        "continue": ev.Continue(1, 9.0),
        "preempt": ev.Preempt(1, hold=False, at=9.0),
        "preempted": ev.AttemptEnded(1, 1, ev.Result(0, None, "preempt", "", 1.0, 2.0)),
        "hold": ev.Hold(1),
        "release": ev.Release(1),
        "move": ev.Move(1, position=1),
        "edit": ev.Edit(1, job.spec),
        "retry": ev.Retry(job),
        "started": ev.AttemptStarted(1, 1, 42, 1.0),
        "ended": ev.AttemptEnded(1, 1, OK),
        "lost": ev.AttemptLost(1, 1, "runner-died"),
        "void": ev.AttemptVoid(1, 1),
        "progressed": ev.Progressed(1, 1, {}),
        "adopt": ev.Adopt(1, ("a",)),
        "tick": ev.Tick(),
        "pause": ev.SetMode(paused=True, draining=False),
        "block": ev.Block("no space"),
        "unblock": ev.Unblock(0),
        "reboot": ev.AttemptLost(1, 1, "reboot", 7.0),
        "stalled": ev.Stalled(1, 1, 1.0, 9.0, "no output", stop=True),
        "stirred": ev.Stirred(1, 1),
    }
    return events[name]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", EXPECTED)
def test_every_event_in_every_state(state: str, name: str) -> None:
    core, job = made(state)
    before, expected = job.state, EXPECTED[name].get(state, REFUSED)
    if expected == REFUSED:
        with pytest.raises(RequestError):
            core.handle(event(name, job), 3.0)
        assert job.state == before
        assert core.take_effects() == []
    else:
        core.handle(event(name, job), 3.0)
        assert job.state.name == (before.name if expected == SAME else expected)
    core.validate()


@pytest.mark.parametrize("name", ["started", "ended", "lost", "reboot", "void", "progressed"])
def test_news_of_an_attempt_that_is_over_is_dropped(name: str) -> None:
    core, job = made("failed")
    core.handle(ev.SetMode(paused=True, draining=False), 3.0)
    core.handle(ev.Retry(job), 3.0)
    before = job.state
    assert core.handle(event(name, job), 4.0) == []
    assert (job.state, job.attempt) == (before, 2)


def test_a_job_that_wants_more_gpus_than_there_are_stops_nobody() -> None:
    core = Core(["a"])
    wide = JobSpec(command=("true",), cwd="/", gpus=2)
    effects = core.handle(ev.Submit((wide, SPEC), "me"), 0.0)
    assert [effect.job.id for effect in effects if isinstance(effect, fx.Start)] == [2]
    assert core.line.position(core.jobs[1]) is None


def test_a_block_ends_by_itself() -> None:
    core = Core(["a"])
    core.handle(ev.Block("no space left"), 0.0)
    effects = core.handle(ev.Submit((SPEC,), "me"), 0.0)
    assert not [effect for effect in effects if isinstance(effect, fx.Start)]
    assert not [effect for effect in core.handle(ev.Tick(), 1e9) if isinstance(effect, fx.Start)]
    assert [effect for effect in core.handle(ev.Unblock(1), 0.0) if isinstance(effect, fx.Start)]


def test_a_block_does_not_end_with_the_one_before() -> None:
    core = Core(["a"])
    core.handle(ev.Block("no space left"), 0.0)
    core.handle(ev.Block("still none"), 0.0)
    core.handle(ev.Unblock(1), 1.0)
    assert core.blocked == "still none"
    core.handle(ev.Unblock(2), 2.0)
    assert core.blocked is None


def test_events_show_the_state_of_their_moment() -> None:
    core = Core(["a"])
    effects = core.handle(ev.Submit((SPEC,), "me"), 0.0)
    assert [each.job.state.name for each in effects if isinstance(each, fx.Changed)] == ["queued", "pending"]
