"""Lanes: a share of the GPUs, a pause and an order of their own; and what people may say of them."""

from __future__ import annotations

import pytest
from core.machine import spec
from core.test_gates import active, end, line, some, started, submitted

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.lanes import Choice, Lane
from trainqueue.core.limits import Limits
from trainqueue.core.why import why
from trainqueue.errors import RequestError


def core_with(gpus: int, **lanes: Lane) -> Core:
    return Core([f"gpu{at}" for at in range(gpus)], limits=Limits(cpu_jobs=2, lanes=lanes))


def say(core: Core, name: str, **choice: int | bool | None) -> list[int]:
    """The jobs that start because of it."""
    effects = core.handle(ev.SetLane(name, Choice(**choice)), 1.0)  # type: ignore[arg-type]
    core.validate()
    return started(effects)


def test_a_lane_gets_no_more_gpus_than_it_may_have_and_the_others_pass() -> None:
    core = core_with(4, debug=Lane(gpus=2))
    submitted(core, *some(4, lane="debug"), spec(), spec(lane="default"))
    assert active(core) == [1, 2, 5, 6]
    assert why(core, core.jobs[3], 1.0) == ("position", "lane debug holds 2 of its 2 GPUs")
    assert why(core, core.jobs[4], 1.0)[1] == "lane debug holds 2 of its 2 GPUs; 1 of it is before this one"
    assert end(core, 5) == []
    assert end(core, 1) == [3]


def test_a_wide_one_bars_those_behind_it_in_its_lane_only() -> None:
    core = core_with(4, debug=Lane(gpus=2))
    submitted(core, spec(lane="debug"), spec(lane="debug", gpus=2), spec(lane="debug"), spec())
    assert active(core) == [1, 4]
    assert end(core, 1) == [2]
    assert end(core, 2) == [3]


def test_one_that_is_wider_than_its_lane_stands_in_nobodys_way() -> None:
    core = core_with(4, debug=Lane(gpus=2))
    submitted(core, spec(lane="debug", gpus=4), spec(lane="debug"))
    assert active(core) == [2]
    assert why(core, core.jobs[1], 1.0) == ("gpu-count", "needs 4 GPUs, and lane debug may have 2")
    assert say(core, "debug", gpus=None) == []  # it needs that of the other one
    assert end(core, 2) == [1]


def test_jobs_without_a_gpu_pass_the_cap_and_not_the_pause() -> None:
    core = core_with(1, debug=Lane(gpus=1))
    submitted(core, spec(lane="debug"), spec(lane="debug", gpus=0))
    assert active(core) == [1, 2]
    say(core, "debug", paused=True)
    submitted(core, spec(lane="debug", gpus=0))
    assert active(core) == [1, 2]
    assert why(core, core.jobs[3], 1.0) == (
        "paused",
        "lane debug is paused; `trainq-cli lane debug --resume` goes on",
    )
    assert say(core, "debug", paused=False) == [3]


def test_the_lane_without_a_name_is_one_as_well() -> None:
    core = core_with(3)
    say(core, "default", gpus=1)
    submitted(core, *some(2), spec(lane="default"))
    assert active(core) == [1]
    assert say(core, "default", gpus=3) == [2, 3]


def test_a_smaller_share_takes_nothing_away_from_what_runs() -> None:
    core = core_with(3, debug=Lane())
    submitted(core, *some(5, lane="debug"))
    assert say(core, "debug", gpus=1) == []
    assert end(core, 1) == end(core, 2) == []
    assert end(core, 3) == [4]


def test_a_lane_has_the_order_of_the_line() -> None:
    core = core_with(2, debug=Lane(gpus=1))
    submitted(core, *some(3, lane="debug"), spec(), spec())
    core.handle(ev.Move(3, position=1), 1.0)
    core.validate()
    assert end(core, 1) == [3]
    assert line(core) == [5]


def test_the_back_is_behind_those_who_wait_beside_the_line_and_a_job_goes_in_front_of_any_of_them() -> None:
    core = core_with(1, debug=Lane(gpus=1))
    submitted(core, *some(4, lane="debug"))
    core.handle(ev.Move(2), 1.0)
    core.validate()
    core.handle(ev.Move(4, before=3), 1.0)
    core.validate()
    assert [end(core, 1), end(core, 4), end(core, 3)] == [[4], [3], [2]]


def test_a_job_passes_its_group_first() -> None:
    core = core_with(4, debug=Lane(gpus=2))
    submitted(core, *some(3, lane="debug", group="g", max_running=1), *some(2, lane="debug"))
    assert active(core) == [1, 4]
    assert why(core, core.jobs[3], 1.0)[1] == "1 of group g run, which is its max_running; 1 of it is before this one"
    assert end(core, 1) == [2]
    assert end(core, 2) == [3]


def test_an_edit_changes_the_lane() -> None:
    core = core_with(2, debug=Lane(gpus=1))
    submitted(core, *some(2, lane="debug"))
    assert started(core.handle(ev.Edit(2, spec()), 1.0)) == [2]
    core.validate()


def test_an_unknown_lane_is_refused_with_those_there_are() -> None:
    core = core_with(1, debug=Lane())
    with pytest.raises(RequestError, match=r"^\$.jobs\[1\].lane: there is no lane dbug; there are: debug, default$"):
        core.handle(ev.Submit((spec(), spec(lane="dbug")), "me"), 1.0)
    assert not core.jobs
    submitted(core, spec(), spec())
    with pytest.raises(RequestError, match=r"^\$.set.lane: there is no lane"):
        core.handle(ev.Edit(2, spec(lane="dbug")), 1.0)
    core.validate()


def test_who_is_in_use_or_in_the_settings_cannot_be_removed() -> None:
    core = core_with(1, debug=Lane())
    for name, sentence in (("debug", "settings"), ("default", "always"), ("none", "no lane none")):
        with pytest.raises(RequestError, match=sentence):
            core.handle(ev.RemoveLane(name), 1.0)
    say(core, "long")
    [job, waiting] = submitted(core, *some(2, lane="long"))
    with pytest.raises(RequestError, match="1 job waits and 1 runs in lane long"):
        core.handle(ev.RemoveLane("long"), 1.0)
    core.handle(ev.Cancel(waiting), 1.0)
    end(core, job)
    assert fx.LaneChanged("long", None) in core.handle(ev.RemoveLane("long"), 1.0)
    assert "long" not in core.lanes.all


def restarted(core: Core, limits: Limits) -> Core:
    again = Core([*core.board.cards], limits=limits, next_id=core.next_id)
    jobs = [job.snapshot() for job in core.jobs.values()]
    again.restore(jobs, {}, 2.0, paused=False, draining=False, lanes=core.lanes.choices)
    again.handle(ev.Tick(), 2.0)
    again.validate()
    return again


def test_what_people_say_goes_before_the_settings_also_after_a_restart() -> None:
    core = core_with(3, debug=Lane(gpus=1))
    say(core, "debug", gpus=2)
    say(core, "long", paused=True)
    submitted(core, *some(3, lane="debug"), spec(lane="long"))
    again = restarted(core, core.limits)
    assert again.lanes.all == {"default": Lane(), "debug": Lane(2), "long": Lane(None, paused=True)}
    assert active(again) == [1, 2]
    changed = restarted(core, Limits(lanes={"debug": Lane(3, paused=True)}))
    assert changed.lanes.all["debug"] == Lane(2, paused=True)


def test_what_only_undoes_what_was_said_leaves_it_to_the_settings() -> None:
    core = core_with(1, debug=Lane(gpus=1))
    say(core, "debug", gpus=2, paused=True)
    say(core, "debug", gpus=1, paused=False)
    assert restarted(core, Limits(lanes={"debug": Lane(gpus=3)})).lanes.all["debug"] == Lane(3)


def test_a_lane_that_has_gone_from_the_settings_lives_as_long_as_it_is_needed() -> None:
    """Nobody knows its bound any more: nothing starts in it until somebody says so."""
    core = core_with(1, debug=Lane(gpus=1, paused=True))
    submitted(core, spec(lane="debug"))
    again = restarted(core, Limits())
    assert active(again) == []
    assert "stands in the settings no more" in str(why(again, again.jobs[1], 1.0)[1])
    with pytest.raises(RequestError, match="in lane debug"):
        again.handle(ev.RemoveLane("debug"), 2.0)
    say(again, "debug", paused=False)
    assert active(again) == [1]


def test_a_lane_that_was_there_for_its_jobs_alone_goes_with_the_last_of_them() -> None:
    core = core_with(1, debug=Lane(), night=Lane())
    submitted(core, *some(2, lane="debug"), spec(lane="night", hold=True))
    again = restarted(core, Limits())
    say(again, "night", paused=True)
    assert {*again.lanes.all} == {"default", "debug", "night"}
    end(again, 1)
    assert "debug" in again.lanes.all
    again.handle(ev.Cancel(2), 2.0)
    again.handle(ev.Cancel(3), 2.0)
    assert {*again.lanes.all} == {"default", "night"}, "what people have spoken of stays"


def test_a_persons_pause_outlives_the_settings_that_said_the_same() -> None:
    core = core_with(1, debug=Lane(gpus=1, paused=True))
    for paused in (False, True):
        say(core, "debug", paused=paused)
    submitted(core, spec(lane="debug"))
    assert active(restarted(core, Limits(lanes={"debug": Lane(gpus=1)}))) == []


def test_it_is_known_since_when_a_lane_is_paused() -> None:
    core = core_with(1, debug=Lane(), night=Lane(paused=True))
    for at, paused in ((5.0, True), (6.0, True), (7.0, None)):
        choice = Choice(gpus=1) if paused is None else Choice(paused=paused)
        core.handle(ev.SetLane("debug", choice), at)
    assert restarted(core, core.limits).lanes.all["debug"].paused_since == 5.0
    core.handle(ev.SetLane("debug", Choice(paused=False)), 8.0)
    assert core.lanes.all["debug"].paused_since is None
    assert core.lanes.all["night"].paused_since is None


def test_nothing_is_told_of_a_lane_that_is_so_already() -> None:
    core = core_with(1, debug=Lane(gpus=1))
    submitted(core, *some(2, lane="debug"))
    assert not core.handle(ev.SetLane("debug", Choice(gpus=1)), 1.0)
    assert core.handle(ev.SetLane("long", Choice()), 1.0) == [fx.LaneChanged("long", Lane())]


def test_a_retry_into_a_lane_that_is_gone_is_refused() -> None:
    core = core_with(1)
    say(core, "debug")
    [job] = submitted(core, spec(lane="debug"))
    kept = core.jobs[job].snapshot()
    core.handle(ev.Cancel(job), 1.0)
    effects = core.handle(ev.AttemptVoid(job, 1), 1.0)
    ended = next(effect.job for effect in effects if isinstance(effect, fx.Changed))
    assert kept.id == ended.id
    core.handle(ev.RemoveLane("debug"), 1.0)
    with pytest.raises(RequestError, match="there is no lane debug"):
        core.handle(ev.Retry(ended.snapshot()), 1.0)
    core.validate()
