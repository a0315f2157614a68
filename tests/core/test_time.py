"""Reboots and clocks that are set, in the core alone: order, alarms, times that are shown, reasons of a pause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.spec import JobSpec
from trainqueue.core.why import why

if TYPE_CHECKING:
    from trainqueue.core.job import State

DAY = 86_400.0
REASON = "the machine was restarted"


def spec(**fields: object) -> JobSpec:
    return JobSpec(command=("true",), cwd="/", **fields)  # type: ignore[arg-type]


def started(effects: list[fx.Effect]) -> list[int]:
    return [effect.job.id for effect in effects if isinstance(effect, fx.Start)]


def ends(effects: list[fx.Effect]) -> list[State]:
    return [effect.job.state for effect in effects if isinstance(effect, fx.Changed) and effect.job.ended]


def test_the_order_does_not_depend_on_the_clock() -> None:
    core, order, now = Core(["a"]), list[int](), 10 * DAY
    for step in (0.0, -DAY, 2 * DAY, -DAY, -DAY):
        now += step
        order += started(core.handle(ev.Submit((spec(),) * 2, "me"), now))
    for step in (DAY, -3 * DAY, DAY, 0.0, DAY, -DAY, 5 * DAY, 0.0, 0.0):
        now += step
        result = ev.Result(0, None, None, "", now, now)
        order += started(core.handle(ev.AttemptEnded(order[-1], 1, result), now))
    assert order == [*range(1, 11)]


def test_not_before_follows_the_clock_there_and_back() -> None:
    core = Core(["a"])
    core.handle(ev.Submit((spec(not_before=10 * DAY),), "me"), 9 * DAY)
    assert started(core.handle(ev.Tick(), 8 * DAY)) == []
    assert core.alarms.set_for == 10 * DAY
    assert why(core, core.jobs[1], 8 * DAY)[0] == "not-before"
    assert why(core, core.jobs[1], 10 * DAY + 0.1) == ("not-before", "its time comes in 0 s")
    assert started(core.handle(ev.Tick(), 11 * DAY)) == [1]


def test_whose_time_has_come_does_not_wait_for_it_again() -> None:
    core = Core(["a"])
    core.handle(ev.Submit((spec(), spec(not_before=10 * DAY)), "me"), 9 * DAY)
    core.handle(ev.Tick(), 10 * DAY)
    assert why(core, core.jobs[2], 9 * DAY)[0] == "position"
    end = ev.AttemptEnded(1, 1, ev.Result(0, None, None, "", 9 * DAY, 9 * DAY))
    assert started(core.handle(end, 9 * DAY)) == [2]


def test_nothing_ends_before_it_has_started() -> None:
    core = Core(["a"])
    core.handle(ev.Submit((spec(), spec()), "me"), 2 * DAY)
    core.handle(ev.AttemptStarted(1, 1, 7, 2 * DAY, 5.0), 2 * DAY)
    [lost] = ends(core.handle(ev.AttemptLost(1, 1, "runner-died", 30.0), DAY))
    assert (lost.ended_at, lost.run_time) == (2 * DAY, 30.0)  # type: ignore[union-attr]
    core.handle(ev.AttemptStarted(2, 1, 8, DAY, 6.0), DAY)
    [failed] = ends(core.handle(ev.AttemptEnded(2, 1, ev.Result(1, None, None, "", DAY, 0.0, 4.0)), 0.0))
    assert (failed.ended_at, failed.run_time) == (DAY, 4.0)  # type: ignore[union-attr]


def test_a_cancel_keeps_what_is_known_of_the_start() -> None:
    core = Core(["a"])
    core.handle(ev.Submit((spec(),), "me"), 0.0)
    core.handle(ev.AttemptStarted(1, 1, 7, 1.0, 5.0), 1.0)
    core.handle(ev.Cancel(1), 2.0)
    state = core.jobs[1].state
    assert (state.stopping, state.began, state.pid) == (True, 5.0, 7)  # type: ignore[union-attr]


def test_a_job_that_is_tried_again_after_a_reboot_comes_first() -> None:
    core = Core(["a"])
    core.handle(ev.Submit((spec(retries={"reboot": 1}),), "me"), 0.0)
    core.handle(ev.AttemptStarted(1, 1, 7, 1.0), 1.0)
    core.handle(ev.Submit((spec(), spec(priority="high")), "me"), 1.0)
    core.handle(ev.Progressed(1, 1, {"fraction": 0.5}), 1.0)
    core.handle(ev.AttemptLost(1, 1, "reboot"), 2.0, dispatch=False)
    job = core.jobs[1]
    assert (job.state.name, job.attempt, job.progress) == ("queued", 2, None)
    assert [each.id for each in core.line.page(0, 10)] == [3, 1, 2]
    assert started(core.handle(ev.Tick(), 3.0)) == [3]
    assert core.line.position(job) == 1


def test_a_reason_stays_until_the_queue_goes_on() -> None:
    core = Core(["a"])
    [told] = core.handle(ev.SetMode(paused=True, draining=False, reason=REASON), 0.0)
    assert told == fx.ModeChanged(paused=True, draining=False, reason=REASON)
    core.handle(ev.Submit((spec(),), "me"), 0.0)
    sentence = "the queue is paused since the machine was restarted; `trainq-cli resume` goes on"
    assert why(core, core.jobs[1], 0.0) == ("paused", sentence)
    core.handle(ev.SetMode(paused=True, draining=True), 0.0)
    assert core.pause_reason == REASON
    core.handle(ev.SetMode(paused=False, draining=False), 0.0)
    assert core.pause_reason is None
    core.handle(ev.SetMode(paused=True, draining=False), 0.0)
    assert core.pause_reason is None
