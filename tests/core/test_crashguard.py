"""The crash guard: jobs that fail one after the other right after their start pause the queue, with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.limits import Limits
from trainqueue.core.spec import JobSpec
from trainqueue.core.why import why


def core_with(jobs: int, guard: int = 3, **fields: Any) -> Core:
    core = Core(["a"], limits=Limits(crash_guard_jobs=guard, crash_guard_seconds=5.0))
    core.handle(ev.Submit((JobSpec(command=("true",), cwd="/", **fields),) * jobs, "me"), 0.0)
    return core


def end(core: Core, code: int = 1, *, lasted: float = 1.0, reason: Any = None) -> list[fx.Effect]:
    """Of the one that is active."""
    [job] = core.active()
    core.handle(ev.AttemptStarted(job.id, job.attempt, 7, 1.0), 1.0)
    result = ev.Result(code, None, reason, "", 1.0, 1.0 + lasted, lasted)
    effects = core.handle(ev.AttemptEnded(job.id, job.attempt, result), 1.0 + lasted)
    core.validate()
    return effects


def test_off_by_default() -> None:
    assert Limits().crash_guard_jobs == 0
    core = core_with(50, guard=0)
    for _ in range(50):
        end(core)
    assert not core.paused


def test_so_many_in_a_row_pause_the_queue_and_say_which_and_why() -> None:
    core = core_with(5)
    end(core)
    end(core)
    assert not core.paused
    effects = end(core)
    assert core.paused
    reason = (
        "3 attempts in a row (the last of jobs 1, 2, 3) failed within 5 s of their start (cause exit, exit code 1); "
        "look at `trainq-cli logs 3`"
    )
    assert fx.ModeChanged(paused=True, draining=False, reason=reason) in effects
    assert not [effect for effect in effects if isinstance(effect, fx.Start)]
    code, sentence = why(core, core.jobs[4], 9.0)
    assert (code, reason in (sentence or "")) == ("paused", True)


@pytest.mark.parametrize("better", [{"code": 0}, {"lasted": 5.1}])
def test_a_success_or_a_longer_run_begins_anew(better: dict[str, Any]) -> None:
    core = core_with(6)
    end(core)
    end(core)
    end(core, **better)
    end(core)
    end(core)
    assert not core.paused
    end(core)
    assert core.paused


def test_retried_attempts_count_and_their_job_is_named_once() -> None:
    core = core_with(1, retries={"exit": 9})
    for _ in range(3):
        assert not core.paused
        end(core)
    assert core.paused
    assert (core.pause_reason or "").startswith("3 attempts in a row of job 1 failed within 5 s of its start")
    assert (core.jobs[1].state.name, core.jobs[1].attempt) == ("queued", 4)


@pytest.mark.parametrize("reason", ["cancel", "preempt", "time-limit"])
def test_what_somebody_has_ended_neither_counts_nor_resets(reason: str) -> None:
    core = core_with(6)
    end(core)
    end(core)
    end(core, reason=reason)
    assert not core.paused
    end(core)
    assert core.paused


def test_after_a_resume_it_counts_anew() -> None:
    core = core_with(9)
    for _ in range(3):
        end(core)
    core.handle(ev.SetMode(paused=False, draining=False), 9.0)
    assert core.pause_reason is None
    end(core)
    end(core)
    assert not core.paused
    end(core)
    assert core.paused


def test_the_row_is_told_at_each_change_and_goes_on_in_the_next_daemon() -> None:
    core = core_with(9)
    assert fx.CrashesCounted((1,)) in end(core)
    assert fx.CrashesCounted((1, 2)) in end(core)
    again = Core(["a"], next_id=core.next_id, limits=core.limits)
    again.restore([job.snapshot() for job in core.jobs.values()], {}, 5.0, paused=False, draining=False, crashes=(1, 2))
    assert fx.CrashesCounted(()) in end(again)
    assert (again.paused, again.guard.row) == (True, [])
    end(core, code=0)
    assert not [effect for effect in end(core, code=0) if isinstance(effect, fx.CrashesCounted)]


def test_a_drain_forgets_nothing() -> None:
    core = core_with(3)
    end(core)
    core.handle(ev.SetMode(paused=False, draining=True), 3.0)
    assert core.guard.row


def test_what_was_counted_before_it_was_switched_off_is_forgotten_with_the_next_end() -> None:
    core = core_with(3, guard=0)
    core.guard.row = [7, 8]
    assert fx.CrashesCounted(()) in end(core)
    assert not [effect for effect in end(core) if isinstance(effect, fx.CrashesCounted)]


def test_a_pause_by_a_person_gets_no_other_reason() -> None:
    core = core_with(3)
    end(core)
    end(core)
    core.handle(ev.SetMode(paused=True, draining=False), 5.0)
    end(core)
    assert (core.paused, core.pause_reason) == (True, None)


def test_a_start_that_failed_counts() -> None:
    core = core_with(4)
    for _ in range(3):
        end(core, lasted=0.0, reason="start-failed")
    assert core.paused
