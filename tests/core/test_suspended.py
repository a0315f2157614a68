"""The run time and the expected end of a job that was suspended."""

from __future__ import annotations

from trainqueue.clock import run_time
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.expect import Window, ends
from trainqueue.core.job import Running
from trainqueue.core.past import NoPast
from trainqueue.core.spec import JobSpec


def core() -> Core:
    """With a job that may run for an hour, began at 1000 when the monotonic clock showed 5, and is suspended at 105."""
    made = Core(["a"])
    made.handle(ev.Submit((JobSpec(command=("true",), cwd="/", time_limit=3600.0),), "me"), 1000.0)
    made.handle(ev.AttemptStarted(1, 1, 42, 1000.0, 5.0), 1000.0)
    made.handle(ev.Suspend(1, 105.0), 1100.0)
    return made


def test_nobody_knows_when_a_suspended_job_ends() -> None:
    assert ends(core().jobs[1], 1100.0, NoPast()) == Window(1100.0, None)


def test_its_limit_is_later_by_the_pause() -> None:
    made = core()
    made.handle(ev.Continue(1, 1105.0), 2100.0)
    assert ends(made.jobs[1], 2100.0, NoPast()) == Window(5600.0, 5600.0)
    made.handle(ev.Suspend(1, 1115.0), 2110.0)
    made.handle(ev.Continue(1, 1215.0), 2210.0)
    assert ends(made.jobs[1], 2210.0, NoPast()) == Window(5700.0, 5700.0)


def test_its_run_time_stands_still_until_it_goes_on() -> None:
    made = core()
    assert run_time(made.jobs[1].state, 1e9) == 100.0
    made.handle(ev.Suspend(1, 500.0), 1500.0)
    assert run_time(made.jobs[1].state, 1e9) == 100.0, "it was suspended already"
    made.handle(ev.Continue(1, 1105.0), 2100.0)
    state = made.jobs[1].state
    assert isinstance(state, Running)
    assert (state.idle, state.suspended) == (1000.0, False)


def test_a_cancel_lets_it_go_on_and_its_run_time_stands_where_it_stood() -> None:
    made = core()
    made.handle(ev.Cancel(1), 1200.0)
    made.validate()
    state = made.jobs[1].state
    assert isinstance(state, Running)
    assert (state.suspended, state.stopping, run_time(state, 1e9)) == (False, True, 100.0)
