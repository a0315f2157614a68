"""A job that hangs: it is said once and taken back once, and where that is wished it ends with that cause."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.job import Running
from trainqueue.core.spec import JobSpec
from trainqueue.core.stalls import UNTOLD
from trainqueue.errors import RequestError

QUIET = "no output, no progress, processor idle"
ENDED = ev.Result(None, 15, "stalled", "", 1.0, 60.0)


def hangs(*, stop: bool = False) -> ev.Stalled:
    return ev.Stalled(1, 1, since=10.0, seconds=1860.0, quiet=QUIET, stop=stop)


def running(**fields: Any) -> Core:
    core = Core(["a"])
    core.handle(ev.Submit((JobSpec(command=("true",), cwd="/", **fields),), "me"), 0.0)
    core.handle(ev.AttemptStarted(1, 1, 42, 1.0), 1.0)
    return core


def told(core: Core, event: ev.Event) -> list[fx.Effect]:
    effects = core.handle(event, 50.0)
    core.validate()
    return effects


def state(core: Core) -> Running:
    found = core.jobs[1].state
    assert isinstance(found, Running)
    return found


def test_it_is_said_once_and_taken_back_once() -> None:
    core = running()
    [said] = told(core, hangs())
    assert isinstance(said, fx.Changed)
    assert (said.told, said.job.state) == ("stalled", state(core))
    assert (state(core).stalled_since, state(core).quiet) == (10.0, QUIET)
    assert told(core, hangs()) == []
    [back] = told(core, ev.Stirred(1, 1))
    assert isinstance(back, fx.Changed)
    assert (back.told, state(core).stalled_since, state(core).quiet) == ("stirred", None, "")
    assert told(core, ev.Stirred(1, 1)) == []


def test_where_that_is_wished_it_ends_with_the_cause_and_the_words() -> None:
    core = running()
    changed, stop = told(core, hangs(stop=True))
    assert isinstance(changed, fx.Changed)
    assert stop == fx.Stop(1, 1, force=False, stalled=True)
    assert told(core, hangs(stop=True)) == []
    assert told(core, ev.Stirred(1, 1)) == []  # it saves its work, and goes on ending
    [end] = told(core, ev.AttemptEnded(1, 1, ENDED))
    assert isinstance(end, fx.Changed)
    assert (end.job.state.name, getattr(end.job.state, "cause", None)) == ("failed", "stalled")
    assert getattr(end.job.state, "message", None) == f"{QUIET} for 31 min"


def test_a_runner_of_old_calls_it_a_cancel() -> None:
    core = running()
    told(core, hangs(stop=True))
    [end] = told(core, ev.AttemptEnded(1, 1, ev.Result(None, 15, "cancel", "", 1.0, 60.0)))
    assert isinstance(end, fx.Changed)
    assert getattr(end.job.state, "cause", None) == "stalled"


def test_a_cancel_meanwhile_is_no_retry() -> None:
    core = running(retries={"stalled": 3})
    told(core, hangs(stop=True))
    told(core, ev.Cancel(1))
    told(core, ev.AttemptEnded(1, 1, ev.Result(None, 15, "cancel", "", 1.0, 60.0)))
    assert 1 not in core.jobs


def test_it_is_tried_again_where_its_spec_says_so() -> None:
    core = running(retries={"stalled": 1})
    told(core, hangs(stop=True))
    told(core, ev.AttemptEnded(1, 1, ENDED))
    assert (core.jobs[1].attempt, core.jobs[1].state.name) == (2, "pending")


def test_words_that_were_lost_with_a_daemon() -> None:
    core = running()
    [end] = told(core, ev.AttemptEnded(1, 1, ENDED))
    assert isinstance(end, fx.Changed)
    assert getattr(end.job.state, "message", None) == UNTOLD


@pytest.mark.parametrize("flag", ["suspended", "preempting", "stopping"])
def test_who_is_quiet_by_our_wish_does_not_hang(flag: str) -> None:
    core = running()
    before = state(core)
    flags: Any = {flag: True}
    core.jobs[1].restate(replace(before, **flags))
    assert told(core, hangs(stop=True)) == []


def test_who_had_stalled_and_is_suspended_does_not_hang_any_more() -> None:
    core = running()
    told(core, hangs())
    core.jobs[1].restate(Running(state(core).gpu_ids, 42, 1.0, suspended=True, stalled_since=10.0, quiet=QUIET))
    assert told(core, ev.Stirred(1, 1))
    assert state(core).stalled_since is None


@pytest.mark.parametrize("event", [ev.Stalled(1, 2, 1.0, 1.0, QUIET, stop=True), ev.Stirred(7, 1)])
def test_news_of_another_attempt_is_dropped(event: ev.Event) -> None:
    core = running()
    before = state(core)
    assert told(core, event) == []
    assert state(core) == before


def test_one_that_ends_for_it_can_be_told_nothing_else() -> None:
    core = running()
    told(core, hangs(stop=True))
    with pytest.raises(RequestError, match="job 1 is being stopped"):
        core.handle(ev.Preempt(1), 51.0)
