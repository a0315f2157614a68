"""Rate and time left: over the last minute, whatever was before; honest when it stalls or goes on from the middle."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from scan.playing import Log, bar, play

from trainqueue.scan import Pace, Told


def paced(*samples: tuple[float, float], unit: str = "") -> Pace:
    pace = Pace()
    for at, step in samples:
        pace.note(at, step, unit)
    return pace


def test_the_last_minute_counts() -> None:
    slow = [(at, at / 10) for at in range(0, 600, 5)]
    fast = [(600.0 + at, 60.0 + 2 * at) for at in range(70)]
    assert paced(*slow).rate(595) == pytest.approx(0.1)
    assert paced(*slow, *fast).rate(669) == pytest.approx(2.0)
    assert paced(*slow, *fast).eta(669, 198, 398) == pytest.approx(100)


def test_few_long_steps_are_enough() -> None:
    pace = paced((0, 0), (300, 1), (600, 2), (900, 3))
    assert pace.rate(900) == pytest.approx(1 / 300)
    assert pace.eta(900, 3, 10) == pytest.approx(2100)


def test_what_was_done_before_a_resume_is_no_speed() -> None:
    assert paced((0, 5000), (10, 5010), (20, 5020)).rate(20) == pytest.approx(1.0)
    jumped = paced((0, 0), (10, 5001))
    assert jumped.rate(10, 10_000) is None
    jumped.note(20, 5011, "")
    jumped.note(30, 5021, "")
    assert jumped.rate(30, 10_000) == pytest.approx(1.0)


def test_a_stall_slows_down_and_a_pause_is_left_out_afterwards() -> None:
    pace = paced(*((at, at) for at in range(31)))
    assert pace.rate(30) == pytest.approx(1.0)
    assert pace.rate(90) == pytest.approx(29 / 89), "nothing came for a minute"
    pace.note(130, 31, "")
    assert pace.rate(130) == pytest.approx(1.0)
    assert pace.eta(130, 31, 131) == pytest.approx(100)
    for at in range(1, 31):
        pace.note(130 + at, 31 + at, "")
    pace.note(260, 62, "")
    assert pace.rate(260) == pytest.approx(1.0)
    assert pace.eta(260, 62, 162) == pytest.approx(100 * (1 + 198 / 62), rel=0.05), "it pauses again and again"


def test_a_count_that_begins_anew_with_each_epoch_is_as_fast_as_before() -> None:
    told, now = Told(), 0.0
    for epoch in range(3):
        for step in range(1, 101):
            now += 1.0
            told.report({"step": step, "total": 100, "metrics": {}})
            found = told.map(now, now)
            if epoch or step > 3:
                assert found is not None
                assert (found["rate"], found["eta"]) == (pytest.approx(1.0), pytest.approx(100.0 - step))


def test_a_suspended_job_is_not_slow() -> None:
    pace = paced(*((at, at) for at in range(31)))
    for gap in range(3):
        pace.suspended(1000)
        pace.note(1000 * (gap + 1) + 31 + gap, 31 + gap, "")
    assert pace.rate(3033) == pytest.approx(1.0)
    assert pace.eta(3033, 33, 133) == pytest.approx(100), "and it is no pause of its own"


def test_what_counts_something_else_begins_anew() -> None:
    pace = paced((0, 0), (1, 1), (2, 2))
    pace.note(3, 300, "other")
    assert pace.rate(3) is None


def report(step: float | None, total: float | None = None, **more: Any) -> dict[str, Any]:
    fraction = step / total if step is not None and total else None
    return {"step": step, "total": total, "fraction": fraction, "metrics": {}, "message": None, **more}


def test_a_report_has_rate_and_time_left_too() -> None:
    told = Told()
    found: dict[str, Any] | None = None
    for at in range(5):
        told.report(report(5000 + 10 * at, 6000))
        found = told.map(float(at), 100.0 + at)
    assert found is not None
    assert (found["rate"], found["eta"], found["updated_at"]) == (pytest.approx(10), pytest.approx(96), 104.0)
    told.report(report(None, fraction=0.5))
    told.map(10.0, 0)
    told.report(report(None, fraction=0.501))
    told.map(20.0, 0)
    told.report(report(None, fraction=0.6))
    last = told.map(30.0, 0)
    assert last is not None
    assert (last["rate"], last["eta"]) == (None, pytest.approx(0.4 / 0.0099, rel=0.05))


def test_a_report_wins_and_the_log_fills_in() -> None:
    told = Told()
    told.scanner.feed(b"step 10/100 loss 0.4, acc 0.5\n", 1.0)
    first = told.map(1.0, 1.0)
    assert first is not None
    assert (first["step"], first["total"]) == (10, 100)
    told.report(report(3, 20, metrics={"loss": 0.1}))
    second = told.map(2.0, 2.0)
    assert second is not None
    assert (second["step"], second["fraction"], second["metrics"]) == (3, 0.15, {"loss": 0.1, "acc": 0.5})
    told.report(report(None, metrics={"reward": 1.0}, message="warm"))
    third = told.map(3.0, 3.0)
    assert third is not None
    assert (third["step"], third["message"]) == (10, "warm"), "it says nothing of how far it is"
    assert third["metrics"] == {"loss": 0.4, "acc": 0.5, "reward": 1.0}
    assert told.map(4.0, 4.0) is None, "nothing has changed"


def test_a_resumed_bar_in_a_log() -> None:
    log = Log()
    for step in (0, *range(5001, 5100)):
        log.say(bar("", step, 10_000, log.now + 1), 0.5)
    maps = play(log.rows)
    assert {round(each["rate"], 1) for each in maps if each["rate"] is not None} == {2.0}


@pytest.mark.parametrize("total", [sys.maxsize, 1e308])
def test_what_would_take_longer_than_a_hundred_years_has_no_end(total: float) -> None:
    told, found = Told(), None
    for step in range(1, 6):
        told.report({"step": step, "total": total, "fraction": step / total, "metrics": {}})
        found = told.map(float(step), float(step))
    assert found is not None
    assert (found["rate"], found["eta"]) == (1.0, None)
