"""Retries by cause: delay and back-off, the place in the line, and what ends the wait."""

from __future__ import annotations

from typing import Any

import pytest

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.job import Failed, Queued
from trainqueue.core.retries import LONGEST, pause
from trainqueue.core.spec import JobSpec
from trainqueue.core.why import why


def core_with(*fields: dict[str, Any]) -> Core:
    core = Core(["a"])
    core.handle(ev.Submit(tuple(JobSpec(command=("true",), cwd="/", **each) for each in fields), "me"), 0.0)
    return core


def fail(core: Core, job: int, now: float, reason: Any = None) -> list[fx.Effect]:
    attempt = core.jobs[job].attempt
    core.handle(ev.AttemptStarted(job, attempt, 7, now), now)
    effects = core.handle(ev.AttemptEnded(job, attempt, ev.Result(1, None, reason, "", now, now)), now)
    core.validate()
    return effects


def wakes(effects: list[fx.Effect]) -> list[float]:
    return [effect.at for effect in effects if isinstance(effect, fx.WakeAt)]


RETRIES = {"retries": {"exit": 3}, "retry_delay": 10.0, "retry_backoff": 2.0}


def test_each_wait_is_longer_than_the_one_before() -> None:
    core = core_with(RETRIES)
    now = 0.0
    for attempt, delay in ((2, 10.0), (3, 20.0), (4, 40.0)):
        assert wakes(fail(core, 1, now)) == [now + delay]
        assert core.jobs[1].state == Queued(until=now + delay)
        core.handle(ev.Tick(), now + delay - 0.1)
        assert core.jobs[1].state.name == "queued"
        now += delay
        core.handle(ev.Tick(), now)
        assert (core.jobs[1].state.name, core.jobs[1].attempt) == ("pending", attempt)
    [state] = [effect.job.state for effect in fail(core, 1, now) if isinstance(effect, fx.Changed)][-1:]
    assert isinstance(state, Failed)


def test_without_a_delay_it_starts_at_once() -> None:
    core = core_with({"retries": {"exit": 1}})
    fail(core, 1, 1.0)
    assert (core.jobs[1].state.name, core.jobs[1].attempt) == ("pending", 2)


def test_a_wait_has_a_bound() -> None:
    assert pause(1.0, 1000.0, 1_000_000) == LONGEST
    assert pause(0.0, 1000.0, 1_000_000) == 0.0
    assert pause(5.0, 1.0, 1_000_000) == 5.0


def test_each_cause_has_its_own_count() -> None:
    core = core_with({"retries": {"exit": 1, "out-of-memory": 1}})
    fail(core, 1, 1.0)
    fail(core, 1, 2.0, "out-of-memory")
    assert core.jobs[1].attempt == 3
    fail(core, 1, 3.0)
    assert not core.jobs


@pytest.mark.parametrize(("where", "first"), [("front", 1), ("back", 2)])
def test_where_it_stands(where: str, first: int) -> None:
    core = core_with({"retries": {"exit": 1}, "retry_place": where}, {})
    fail(core, 1, 1.0)
    assert core.jobs[first].state.name == "pending"


def test_others_start_while_it_waits_and_it_has_its_old_place_then() -> None:
    core = core_with(RETRIES, {}, {})
    fail(core, 1, 0.0)
    assert core.jobs[2].state.name == "pending"
    core.handle(ev.Tick(), 10.0)
    assert core.line.position(core.jobs[1]) == 1


def test_why_says_how_many_are_left_and_when() -> None:
    core = core_with(RETRIES)
    fail(core, 1, 0.0)
    assert why(core, core.jobs[1], 0.0) == ("backoff", "attempt 2 of at most 4 starts in 10 s")


@pytest.mark.parametrize("verb", ["release", "retry"])
def test_a_person_ends_the_wait(verb: str) -> None:
    core = core_with(RETRIES)
    fail(core, 1, 0.0)
    core.handle(ev.Release(1) if verb == "release" else ev.Retry(core.jobs[1]), 1.0)
    core.validate()
    assert (core.jobs[1].state.name, core.jobs[1].attempt) == ("pending", 2)


def test_a_hold_and_an_edit_keep_the_wait() -> None:
    core = core_with(RETRIES)
    fail(core, 1, 0.0)
    core.handle(ev.Hold(1), 1.0)
    core.handle(ev.Edit(1, core.jobs[1].spec, hold=False), 2.0)
    core.validate()
    assert core.jobs[1].state == Queued(until=10.0)
    core.handle(ev.Hold(1), 3.0)
    core.handle(ev.Release(1), 4.0)
    core.validate()
    assert core.jobs[1].state == Queued(until=10.0)


def test_who_dies_of_the_signal_of_warn_is_told_so() -> None:
    for warn, said in ((60.0, True), (None, False)):
        core = core_with({"time_limit": 600.0, "warn": warn})
        result = ev.Result(None, 10, None, "", 1.0, 2.0, 1.0)
        effects = core.handle(ev.AttemptEnded(1, 1, result), 2.0)
        [*_, state] = [effect.job.state for effect in effects if isinstance(effect, fx.Changed)]
        assert isinstance(state, Failed)
        assert ("the signal of warn" in state.message) == said


def test_a_restart_keeps_the_wait() -> None:
    core = core_with(RETRIES)
    fail(core, 1, 0.0)
    later = Core(["a"], next_id=2)
    later.restore(core.jobs.values(), {}, 3.0, paused=False, draining=False)
    assert wakes(later.handle(ev.Tick(), 3.0)) == [10.0]
    later.validate()
    assert later.counts["queued"] == 1
    later.handle(ev.Tick(), 10.0)
    assert later.counts["pending"] == 1


def test_a_snapshot_of_before_does_not_count_the_next_retry() -> None:
    core = core_with({"retries": {"exit": 5}})
    [first] = [effect.job for effect in fail(core, 1, 1.0) if isinstance(effect, fx.Changed)][-1:]
    fail(core, 1, 2.0)
    assert first.retried == {"exit": 1}
