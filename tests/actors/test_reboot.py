"""The machine was restarted: what ran is lost and says so, what waited waits on, and the queue goes on or pauses."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from house import House, Past, gated, rows
from support import wait_until

from trainqueue import wire
from trainqueue.core.job import Pending, Queued, Running
from trainqueue.launch import local

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CPU = ("cpu:0",)
SINCE = "the queue is paused since the machine was restarted; `trainq-cli resume` goes on"


def counting(folder: Path, name: str) -> tuple[str, ...]:
    return ("sh", "-c", f"echo {name} $TRAINQ_ATTEMPT $TRAINQ_RESUME >> {folder}/runs")


def runs(folder: Path) -> list[str]:
    return (folder / "runs").read_text(encoding="ascii").splitlines() if (folder / "runs").exists() else []


def modes(house: House) -> tuple[bool, str | None]:
    found = house.call(wire.Queue())
    return found["paused"], found["pause_reason"]


def test_what_ran_is_lost_and_what_waited_waits_on(house: House, tmp_path: Path) -> None:
    lost = house.submit("sh", "-c", f"touch {tmp_path}/up; sleep 1000")
    waiting = [house.submit(*counting(tmp_path, name)) for name in "abc"]
    held = house.submit(hold=True)
    house.call(wire.Move(job=waiting[2], to="front"))
    wait_until((tmp_path / "up").exists)
    house.until(lost, "running")
    house.reboot()
    ended = house.until(lost, "lost")
    assert (ended["cause"], ended["exit_code"], ended["signal"]) == ("reboot", None, None)
    assert ended["message"] == "the machine went down while it ran; nobody knows how it ended"
    assert ended["ended_at"] >= ended["started_at"]
    assert 0 <= ended["run_time"] <= 10
    house.until(waiting[1], "completed")
    assert runs(tmp_path) == ["c 1", "a 1", "b 1"]
    assert house.status(held)["why_code"] == "held"
    assert modes(house) == (False, None)
    assert rows(house.home, "SELECT * FROM attempts") == []


def test_an_armed_job_and_one_that_was_never_handed_over(house: House, tmp_path: Path) -> None:
    running = house.submit(*gated(tmp_path / "gate"))
    armed = house.submit(*counting(tmp_path, "armed"))
    house.until(running, "running")
    house.until_armed(armed)
    house.reboot()
    assert house.until(running, "lost")["cause"] == "reboot"
    assert house.until(armed, "completed")["attempt"] == 1
    assert runs(tmp_path) == ["armed 1"]


def test_who_asked_for_it_is_tried_again_at_its_old_place(house: House, tmp_path: Path) -> None:
    """In front of the line of its priority, as the next attempt, from where it had saved itself."""
    save = 'echo "{\\"step\\": 9}" > $TRAINQ_JOB_DIR/new; mv $TRAINQ_JOB_DIR/new $TRAINQ_PROGRESS'
    work = f"{counting(tmp_path, 'again')[2]}; [ $TRAINQ_ATTEMPT = 2 ] && exit 0; {save}; exec sleep 1000"
    again = house.submit("sh", "-c", work, retries={"reboot": 1})
    behind = house.submit(*counting(tmp_path, "behind"))
    house.until(again, "running")
    high = house.submit(*counting(tmp_path, "high"), priority="high")
    wait_until(lambda: house.status(again)["progress"] is not None)
    house.after_reboot = "hold"
    house.reboot()
    waits = house.status(again)
    assert (waits["state"], waits["attempt"], waits["position"], waits["progress"]) == ("queued", 2, 2, None)
    assert [waits[name] for name in ("cause", "started_at", "pid", "run_time")] == [None] * 4
    house.call(wire.Resume())
    house.until(behind, "completed")
    assert [house.status(job)["attempt"] for job in (high, again, behind)] == [1, 2, 1]
    assert runs(tmp_path) == ["again 1", "high 1", "again 2 1", "behind 1"]


def test_the_second_reboot_is_one_too_many(house: House, tmp_path: Path) -> None:
    again = house.submit("sh", "-c", f"touch {tmp_path}/up$TRAINQ_ATTEMPT; exec sleep 1000", retries={"reboot": 1})
    for attempt in (1, 2):
        wait_until((tmp_path / f"up{attempt}").exists)
        house.until(again, "running")
        house.reboot()
    ended = house.until(again, "lost")
    assert (ended["cause"], ended["attempt"]) == ("reboot", 2)


def test_progress_of_a_job_that_was_cut_off_is_kept(house: House) -> None:
    save = 'echo "{\\"step\\": 7}" > $TRAINQ_JOB_DIR/new; mv $TRAINQ_JOB_DIR/new $TRAINQ_PROGRESS; exec sleep 1000'
    lost = house.submit("sh", "-c", save)
    house.until(lost, "running")
    wait_until(house.home.progress_of(lost).exists)
    house.reboot()
    assert house.until(lost, "lost")["progress"]["step"] == 7


def test_a_record_tells_the_truth_over_a_reboot(house: House, tmp_path: Path) -> None:
    """It had ended, and the news of that was not on disk when the power went."""
    job = house.submit(*gated(tmp_path / "gate", "exit 3"), retries={"reboot": 5})
    house.until(job, "running")
    house.journal.refuses = True
    (tmp_path / "gate").touch()
    wait_until((house.home.attempt(job, 1) / "exit").exists)
    house.reboot()
    ended = house.until(job, "failed")
    assert (ended["cause"], ended["exit_code"], ended["attempt"]) == ("exit", 3, 1)


# -- after_reboot = "hold"


def test_the_queue_is_held_until_somebody_resumes(house: House, tmp_path: Path) -> None:
    house.after_reboot = "hold"
    house.submit("sleep", "1000")
    waiting = [house.submit(*counting(tmp_path, name)) for name in "ab"]
    house.until(1, "running")
    assert modes(house) == (False, None)
    house.reboot()
    for _ in range(2):
        assert modes(house) == (True, "the machine was restarted")
        seen = [house.status(job) for job in waiting]
        assert [(job["position"], job["why_code"], job["why"]) for job in seen] == [
            (1, "paused", SINCE),
            (2, "paused", SINCE),
        ]
        house.restart()  # and it survives that
    [event] = [each for each in house.call(wire.Events(after=0))["events"] if each["type"] == "queue"]
    assert (event["paused"], event["pause_reason"]) == (True, "the machine was restarted")
    assert runs(tmp_path) == []
    house.call(wire.Resume())
    house.until(waiting[1], "completed")
    assert runs(tmp_path) == ["a 1", "b 1"]
    house.restart()
    assert modes(house) == (False, None)


def test_a_drain_on_top_of_it_leaves_the_reason(house: House) -> None:
    house.after_reboot = "hold"
    house.submit(hold=True)
    house.reboot()
    house.call(wire.Drain())
    assert house.on_exit.wait(5)
    house.restart()
    assert modes(house) == (True, "the machine was restarted")


def test_nothing_waits_nothing_is_held(house: House) -> None:
    """Whoever comes to an empty queue finds one that works."""
    house.after_reboot = "hold"
    lost = house.submit("sleep", "1000")
    house.until(lost, "running")
    house.reboot()
    assert house.until(lost, "lost")["cause"] == "reboot"
    assert modes(house) == (False, None)
    house.until(house.submit(), "completed")


def test_who_paused_it_himself_needs_no_reason(house: House) -> None:
    house.after_reboot = "hold"
    house.call(wire.Pause())
    job = house.submit()
    house.reboot()
    assert modes(house) == (True, None)
    assert house.status(job)["why"] == "the queue is paused: nothing starts until it is resumed"


def test_a_restart_of_the_daemon_is_no_reboot(house: House, tmp_path: Path) -> None:
    house.after_reboot = "hold"
    running = house.submit(*gated(tmp_path / "gate"))
    house.submit()
    house.until(running, "running")
    house.restart()
    assert modes(house) == (False, None)
    (tmp_path / "gate").touch()
    house.until(2, "completed")


@pytest.mark.parametrize("rebooted", [True, False])
def test_a_home_that_does_not_know_its_boot_asks_its_runners(house: House, *, rebooted: bool) -> None:
    """As an older release leaves it."""
    house.after_reboot = "hold"
    running = house.submit("sleep", "1000")
    house.submit()
    house.until(running, "running")
    house.power_cut()
    rows(house.home, "DELETE FROM settings WHERE name = 'boot_id'")
    house.boot = "another" if rebooted else house.boot
    house.start()
    assert modes(house) == ((True, "the machine was restarted") if rebooted else (False, None))


# -- what a power cut leaves


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has by now the pid that was written down."""
    made = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    yield made
    made.kill()
    made.wait()


@pytest.mark.parametrize("state", [Pending(CPU, 1.0, stopping=True), Running(CPU, 7, 1.0, stopping=True), Queued()])
def test_a_pid_of_old_is_never_signalled(
    house: House, stranger: subprocess.Popen[bytes], state: Pending | Running | Queued
) -> None:
    """Pid, start ticks, session and mark are those of the attempt; only the boot is not."""
    past = Past(house)
    identity = {"pid": stranger.pid, "ticks": local.start_ticks(stranger.pid), "boot_id": "before"}
    folder = past.job(1, state, identity, "true")
    words = [{"env": {"TRAINQ_GPU_IDS": "cpu:0"}}, {"pid": stranger.pid, "at": 1.0}]
    (folder / "claim").write_text("".join(json.dumps(word) + "\n" for word in words), encoding="ascii")
    house.start()
    assert house.until(1, "lost")["cause"] == "reboot"
    house.until(house.submit(), "completed")
    assert stranger.poll() is None


@pytest.mark.parametrize("claim", ["gone", "empty"])
def test_a_claim_that_did_not_reach_the_disk(house: House, tmp_path: Path, claim: str) -> None:
    """The journal knows that the job has run, so it is not taken for one that never started."""
    past, boot = Past(house), {"pid": os.getpid(), "ticks": 1, "boot_id": "before"}
    ran = past.job(1, Running(CPU, 7, 1.0), boot, *counting(tmp_path, "ran"))
    pending = past.job(2, Queued(), boot, *counting(tmp_path, "armed"))
    if claim == "empty":
        for folder in (ran, pending):
            (folder / "claim").touch()
    house.start()
    assert house.until(1, "lost")["cause"] == "reboot"
    house.until(2, "completed")
    assert runs(tmp_path) == ["armed 1"]


def test_a_row_of_hand_overs_of_which_only_claims_are_left(house: House, tmp_path: Path) -> None:
    """The record of the one before was not written when the power went; the daemon starts all the same."""
    past, boot = Past(house), {"pid": os.getpid(), "ticks": 1, "boot_id": "before"}
    states: list[Any] = [Running(CPU, 7, 1.0), Queued(), Queued()]
    for number, state in enumerate(states, 1):
        folder = past.job(number, state, boot, *counting(tmp_path, "x"))
        (folder / "claim").write_text('{"env": {"TRAINQ_GPU_IDS": "cpu:0"}}\n', encoding="ascii")
    house.start()
    assert [house.until(number, "lost")["cause"] for number in (1, 2, 3)] == ["reboot"] * 3
    house.until(house.submit(), "completed")
    assert runs(tmp_path) == []


def test_seconds_of_a_job_that_was_cut_off(house: House, tmp_path: Path) -> None:
    """Up to the last thing that it wrote: the night that the machine was off is no GPU time."""
    lost = house.submit("sh", "-c", f"echo text; touch {tmp_path}/up; exec sleep 1000")
    wait_until((tmp_path / "up").exists)
    running = house.until(lost, "running")
    house.power_cut()
    log = house.home.log_of(lost, 1)
    os.utime(log, (running["started_at"] + 90, running["started_at"] + 90))
    house.ahead = 12 * 3600.0
    house.boot = "next"
    house.start()
    ended = house.until(lost, "lost")
    assert round(ended["run_time"]) == 90
    assert ended["ended_at"] - ended["started_at"] > 11 * 3600
    stats = house.call(wire.Stats())
    assert (round(stats["gpu_seconds_used"]), round(stats["gpu_seconds_lost"])) == (90, 90)
