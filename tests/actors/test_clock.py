"""The wall clock is set by a day while jobs wait and run: limits, order and seconds stay right."""

from __future__ import annotations

import os
import select
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from house import House, gated, rows
from support import wait_until

from trainqueue import wire
from trainqueue.clock import WallClock, run_time
from trainqueue.core.job import Completed, Lost, Pending, Running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86_400.0
BOTH_WAYS = pytest.mark.parametrize("step", [DAY, -DAY], ids=["forwards", "back"])


@pytest.fixture
def clock() -> Iterator[WallClock]:
    made = WallClock()
    yield made
    made.close()


def readable(clock: WallClock, seconds: float) -> bool:
    poll = select.poll()
    poll.register(clock.fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


@pytest.mark.parametrize("at", [0.0, -5.0, 1.0, 1e-12])
def test_an_alarm_of_the_past_goes_off_at_once(clock: WallClock, at: float) -> None:
    clock.wake_at(at)
    assert readable(clock, 5)
    assert clock.rang()
    assert not clock.rang()


def test_an_alarm_goes_off_in_time_and_not_before(clock: WallClock) -> None:
    clock.wake_at(at := clock.now() + 0.2)
    assert readable(clock, 5)
    assert 0 <= clock.now() - at < 1
    assert clock.rang()


def test_a_later_alarm_takes_the_place_of_one_before(clock: WallClock) -> None:
    clock.wake_at(0.0)
    clock.wake_at(1e11)
    assert not clock.rang()
    assert not readable(clock, 0.05)


def test_alarm_descriptors_stay_ours(clock: WallClock) -> None:
    assert not os.get_inheritable(clock.fd)


def test_run_times_are_measured_and_never_negative() -> None:
    began = time.monotonic() - 50
    assert round(run_time(Running((), 7, 5 * DAY, began=began), DAY) or 0) == 50
    assert run_time(Running((), 7, 5 * DAY), DAY) == 0
    assert run_time(Running((), 7, DAY), DAY + 3) == 3
    assert run_time(Completed(DAY, 5 * DAY, (), 4.0), 9 * DAY) == 4
    assert run_time(Lost(DAY, "reboot", 5 * DAY), 9 * DAY) == 0
    assert [run_time(Pending((), 1.0), DAY), run_time(Lost(DAY, "reboot"), DAY)] == [None] * 2


def test_a_job_whose_time_has_come_by_a_step_starts_at_once(house: House) -> None:
    later = house.submit(not_before=house.clock.now() + DAY / 2)
    assert house.status(later)["why_code"] == "not-before"
    house.clock.step(DAY)
    house.until(later, "completed")


def test_a_step_back_lets_it_wait_for_the_time_of_day(house: House) -> None:
    later = house.submit(not_before=house.clock.now() + 0.5)
    house.clock.step(-DAY)
    house.until(house.submit(), "completed")
    threading.Event().wait(0.6)  # the half second is over, and the time of day has not come
    assert house.status(later)["why_code"] == "not-before"
    assert house.clock.rings == 0
    house.clock.step(DAY)
    house.until(later, "completed")


def test_alarms_are_no_storm(house: House) -> None:
    """However often the clock is set: one look an alarm, and none without one."""
    jobs = [house.submit(not_before=house.clock.now() + DAY / 2 + number) for number in range(5)]
    for step in (DAY / 4, -DAY, -DAY, DAY, DAY / 8, -DAY / 8):
        house.clock.step(step)
        house.call(wire.Ping())
    assert house.clock.rings == 0
    house.clock.step(2 * DAY)
    house.until(jobs[-1], "completed")
    assert house.clock.rings <= len(jobs)


@BOTH_WAYS
def test_a_block_ends_whatever_the_clock_shows(house: House, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    with monkeypatch.context() as full:
        full.setattr("trainqueue.launch.verdict.prepare", refuse)
        job = house.submit()
        wait_until(lambda: house.status(job)["why_code"] == "backoff")
        house.clock.step(step)
    house.until(job, "completed")


def refuse(folder: Path) -> None:
    raise OSError(28, "No space left on device", str(folder))


@BOTH_WAYS
def test_seconds_and_order_over_a_step(house: House, tmp_path: Path, step: float) -> None:
    first = house.submit(*gated(tmp_path / "gate"))
    waiting = [house.submit("sh", "-c", f"echo 1 >> {tmp_path}/runs")]
    house.until(first, "running")
    house.clock.step(step)
    waiting += [house.submit("sh", "-c", f"echo {number} >> {tmp_path}/runs") for number in (2, 3)]
    seen = house.status(first)
    assert 0 <= seen["run_time"] < 30
    assert 0 <= house.call(wire.Stats())["gpu_seconds_used"] < 30
    house.clock.step(-2 * step)
    (tmp_path / "gate").touch()
    house.until(waiting[-1], "completed")
    assert (tmp_path / "runs").read_text(encoding="ascii").split() == ["1", "2", "3"]
    ended = house.status(first)
    assert seen["run_time"] <= ended["run_time"] < 30
    stats = house.call(wire.Stats())
    assert 0 <= stats["gpu_seconds_used"] < 60
    assert stats["seconds_waited"] >= 0
    events = house.call(wire.Events(after=0))["events"]
    assert all(after["seq"] == before["seq"] + 1 for before, after in pairwise(events))
    assert max(event["at"] for event in events) - min(event["at"] for event in events) > DAY


@BOTH_WAYS
def test_a_step_while_no_daemon_lives(house: House, tmp_path: Path, step: float) -> None:
    first = house.submit(*gated(tmp_path / "gate"))
    second = house.submit()
    later = house.submit(not_before=house.clock.now() + DAY / 2)
    house.until(first, "running")
    house.stop()
    house.ahead = step
    house.start()
    adopted = house.status(first)
    assert adopted["state"] == "running"
    assert 0 <= adopted["run_time"] < 30
    assert house.status(later)["why_code"] == ("position" if step > 0 else "not-before")
    (tmp_path / "gate").touch()
    house.until(second, "completed")
    ended = house.status(first)
    assert ended["ended_at"] >= ended["started_at"]
    assert adopted["run_time"] <= ended["run_time"] < 30
    if step > 0:
        house.until(later, "completed")


def test_seconds_of_a_start_that_was_not_written_down(house: House, tmp_path: Path) -> None:
    """The runner's own words in its claim say when it began."""
    job = house.submit(*gated(tmp_path / "gate"))
    house.until(job, "running")
    house.stop()
    rows(house.home, """UPDATE jobs SET state = 'pending', detail = '{"gpu_ids": ["cpu:0"], "at": 1.0}'""")
    house.ahead = DAY
    house.start()
    assert 0 < house.status(job)["run_time"] < 30
    (tmp_path / "gate").touch()
    house.until(job, "completed")


def test_a_lost_job_does_not_end_before_it_started(house: House, tmp_path: Path) -> None:
    lost = house.submit("sh", "-c", f"touch {tmp_path}/up; exec sleep 1000")
    wait_until((tmp_path / "up").exists)
    house.until(lost, "running")
    house.clock.step(-DAY)
    house.kill_runners()
    ended = house.until(lost, "lost")
    assert ended["ended_at"] == ended["started_at"]
    assert 0 < ended["run_time"] < 30
