"""What the next start makes of what the last one has left: homes that a death left half done, with real runners."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest
from house import House, Past, gated, rows
from support import wait_until

from trainqueue import wire
from trainqueue.core.job import Pending, Queued, Running
from trainqueue.launch import local, verdict

if TYPE_CHECKING:
    from pathlib import Path

    from runner.conftest import Launcher, Run

    from trainqueue.core.job import State

CPU = ("cpu:0",)


def counting(folder: Path, name: str, then: str = "exit 0") -> str:
    """A script that writes a line each time it runs."""
    return f"echo {name} >> {folder}/runs; {then}"


def runs(folder: Path) -> list[str]:
    return (folder / "runs").read_text(encoding="ascii").split() if (folder / "runs").exists() else []


def until_waiting_gate(gate: Path, script: str) -> tuple[str, ...]:
    return ("sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.01; done; {script}")


# -- a daemon that is stopped between the hand-over and its commit


def test_a_hand_over_that_was_not_written_down(house: House, tmp_path: Path) -> None:
    """The armed one has a lower id than the one that it followed: the order of ids is not that of starts."""
    house.call(wire.Pause())
    first = house.submit("sh", "-c", counting(tmp_path, "armed", f"until [ -e {tmp_path}/end ]; do sleep 0.01; done"))
    second = house.submit(*until_waiting_gate(tmp_path / "gate", counting(tmp_path, "before", "exit 3")), priority=5)
    house.call(wire.Resume())
    house.until(second, "running")
    house.until_armed(first)
    house.journal.refuses = True
    (tmp_path / "gate").touch()
    wait_until(lambda: "armed" in runs(tmp_path))
    house.stop()
    assert dict(rows(house.home, "SELECT id, state FROM jobs")) == {first: "queued", second: "running"}
    house.start()
    assert house.status(first)["state"] == "running"
    assert house.status(first)["gpu_ids"] == ["cpu:0"]
    ended = house.status(second)
    assert (ended["state"], ended["exit_code"]) == ("failed", 3)
    (tmp_path / "end").touch()
    house.until(first, "completed")
    assert runs(tmp_path) == ["before", "armed"]


@pytest.mark.parametrize("moment", ["it still runs", "it has ended"])
def test_a_row_of_short_hand_overs_that_was_not_written_down(house: House, tmp_path: Path, moment: str) -> None:
    first = house.submit(*until_waiting_gate(tmp_path / "gate", counting(tmp_path, "one")))
    last = f"until [ -e {tmp_path}/end ]; do sleep 0.01; done" if moment == "it still runs" else "exit 4"
    second = house.submit("sh", "-c", counting(tmp_path, "two", last))
    third = house.submit("sh", "-c", counting(tmp_path, "three"))
    house.until(first, "running")
    house.until_armed(second)
    house.journal.refuses = True
    (tmp_path / "gate").touch()
    wait_until(lambda: "two" in runs(tmp_path))
    if moment == "it has ended":
        wait_until((house.home.attempt(second, 1) / "exit").exists)
    house.stop()
    house.start()
    (tmp_path / "end").touch()
    house.until(third, "completed")
    assert house.status(first)["state"] == "completed"
    assert house.status(second)["state"] == ("completed" if moment == "it still runs" else "failed")
    assert runs(tmp_path) == ["one", "two", "three"]


def test_an_armed_job_that_did_not_go_keeps_its_place_and_its_attempt(house: House, tmp_path: Path) -> None:
    first = house.submit(*gated(tmp_path / "gate"))
    second = house.submit("sh", "-c", counting(tmp_path, "two"))
    house.until_armed(second)
    house.restart()
    assert house.status(first)["state"] == "running"
    assert house.status(second)["position"] == 1
    (tmp_path / "gate").touch()
    assert house.until(second, "completed")["attempt"] == 1
    assert runs(tmp_path) == ["two"]


def test_an_armed_one_that_went_after_a_lost_one(house: House, tmp_path: Path) -> None:
    lost = house.submit("sleep", "1000")
    armed = house.submit("sh", "-c", counting(tmp_path, "armed", f"until [ -e {tmp_path}/end ]; do sleep 0.01; done"))
    house.until(lost, "running")
    house.until_armed(armed)
    house.journal.refuses = True
    house.kill_runner(lost)
    wait_until(lambda: runs(tmp_path) == ["armed"])
    house.stop()
    assert dict(rows(house.home, "SELECT id, state FROM jobs")) == {lost: "running", armed: "queued"}
    for _ in range(2):
        house.restart()
        assert house.status(armed)["state"] == "running"
        assert house.status(lost)["cause"] == "runner-died"
    (tmp_path / "end").touch()
    house.until(armed, "completed")
    assert runs(tmp_path) == ["armed"]


# -- homes made by hand


def carried(run: Run, folder: Path, *, stay: bool = False) -> None:
    """Let a runner run the attempt in this folder."""
    run.folder = folder
    run.runner.arm(folder, run.spec)
    run.hear("armed")
    run.runner.go({"TRAINQ_GPU_IDS": "cpu:0"}, stay=stay)
    run.hear("started")


def nobody() -> dict[str, Any]:
    return {"pid": 2**22 - 1, "ticks": 1, "boot_id": local.boot_id()}


@pytest.mark.parametrize("state", [Queued(), Pending(CPU, 1.0)], ids=["armed", "pending"])
@pytest.mark.parametrize("living", [False, True])
def test_a_claim_without_words_means_not_started(
    launcher: Launcher, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: State, *, living: bool
) -> None:
    monkeypatch.setattr("trainqueue.recovery.PATIENCE", 0.2)
    past, run = Past(house), launcher.prepare("true")
    identity = run.runner.identity(local.boot_id()) if living else nobody()
    folder = past.job(1, state, identity, "sh", "-c", counting(tmp_path, "one"))
    (folder / "claim").touch()
    house.start()
    if living:
        assert run.exit_of_runner() == -signal.SIGKILL
    ended = house.until(1, "completed")
    assert (ended["attempt"], runs(tmp_path)) == (1, ["one"])
    if not living:
        run.hang_up()
        assert run.exit_of_runner() == 0


def test_a_living_runner_that_was_never_told_to_go_never_goes(launcher: Launcher, house: House, tmp_path: Path) -> None:
    past, run = Past(house), launcher.prepare("sh", "-c", counting(tmp_path, "old"))
    folder = past.job(1, Pending(CPU, 1.0), run.runner.identity(local.boot_id()), "sh", "-c", counting(tmp_path, "new"))
    run.runner.arm(folder, run.spec)
    run.hear("armed")
    house.start()
    house.until(1, "completed")
    assert run.exit_of_runner() == -signal.SIGKILL
    assert runs(tmp_path) == ["new"]


def test_a_runner_that_carries_another_attempt_by_now_is_left_alone(
    launcher: Launcher, house: House, tmp_path: Path
) -> None:
    past, run = Past(house), launcher.prepare("sh", "-c", "exit 3")
    identity = run.runner.identity(local.boot_id())
    carried(run, past.job(1, Running(CPU, 7, 1.0), identity, "true"), stay=True)
    run.hear("free")
    run.spec = {**run.spec, "argv": until_waiting_gate(tmp_path / "gate", "exit 4")}
    carried(run, past.job(2, Queued(), identity, "true"))
    run.hang_up()
    house.start()
    assert house.status(2)["state"] == "running"
    assert house.status(1)["exit_code"] == 3
    assert not run.runner.gone()
    (tmp_path / "gate").touch()
    ended = house.until(2, "failed")
    assert (ended["exit_code"], ended["attempt"]) == (4, 1)
    assert run.exit_of_runner() == 0


def test_a_runner_that_carries_a_job_that_nobody_asks_about_is_left_alone(
    launcher: Launcher, house: House, tmp_path: Path
) -> None:
    """Its first attempt's row is still there, its second one is on its way in a batch that was not written."""
    past, run = Past(house), launcher.prepare("sh", "-c", "exit 3")
    carried(run, past.job(1, Running(CPU, 7, 1.0), run.runner.identity(local.boot_id()), "true"), stay=True)
    run.hear("free")
    other = tmp_path / "other"
    verdict.prepare(other)
    run.spec = {**run.spec, "argv": until_waiting_gate(tmp_path / "gate", "exit 4")}
    carried(run, other)
    house.start()
    assert house.until(1, "failed")["exit_code"] == 3
    assert not run.runner.gone()
    (tmp_path / "gate").touch()
    assert run.hear("ended")["exit_code"] == 4
    assert run.exit_of_runner() == 0


def test_a_record_is_believed_whatever_else_is_there(launcher: Launcher, house: House) -> None:
    past, run = Past(house), launcher.prepare("sh", "-c", "exit 5")
    folder = past.job(1, Running(CPU, 7, 1.0), nobody(), "true")
    carried(run, folder)
    run.hear("ended")
    assert run.exit_of_runner() == 0
    (house.home.progress_of(1)).write_text('{"step": 4}', encoding="utf-8")
    house.start()
    ended = house.until(1, "failed")
    assert (ended["exit_code"], ended["progress"]["step"]) == (5, 4)
    assert rows(house.home, "SELECT * FROM attempts") == []


def test_a_cancel_that_was_not_obeyed_yet_is_obeyed(launcher: Launcher, house: House) -> None:
    past, run = Past(house), launcher.prepare("sleep", "1000")
    identity = run.runner.identity(local.boot_id())
    carried(run, past.job(1, Running(CPU, 7, 1.0, stopping=True), identity, "true"))
    run.hang_up()
    house.start()
    assert house.until(1, "cancelled")["signal"] == signal.SIGTERM
    assert run.exit_of_runner() == 0


def test_a_pending_job_without_a_row_was_never_handed_over(house: House, tmp_path: Path) -> None:
    past = Past(house)
    past.job(1, Pending(CPU, 1.0), nobody(), "sh", "-c", counting(tmp_path, "one"))
    rows(past.home, "DELETE FROM attempts")
    house.start()
    assert house.until(1, "completed")["attempt"] == 1
    assert runs(tmp_path) == ["one"]


def test_armed_ones_went_in_the_order_of_their_claims(launcher: Launcher, house: House, tmp_path: Path) -> None:
    past, before, last = (
        Past(house),
        launcher.prepare("true"),
        launcher.prepare(*until_waiting_gate(tmp_path / "g", "")),
    )
    folders = [
        past.job(job, Queued(), run.runner.identity(local.boot_id()), "true") for job, run in ((1, last), (2, before))
    ]
    carried(before, folders[1])
    before.ended()
    carried(last, folders[0])
    last.hang_up()
    house.start()
    assert [house.status(job)["state"] for job in (1, 2)] == ["running", "completed"]
    (tmp_path / "g").touch()
    house.until(1, "completed")
    assert last.exit_of_runner() == 0


def test_a_pending_job_without_a_row_holds_no_gpu_of_one_that_went(launcher: Launcher, house: House) -> None:
    past, run = Past(house), launcher.prepare("sleep", "1000")
    past.job(1, Pending(CPU, 1.0), nobody(), "true")
    rows(past.home, "DELETE FROM attempts")
    carried(run, past.job(2, Queued(), run.runner.identity(local.boot_id()), "true"))
    run.hang_up()
    house.start()
    assert [house.status(job)["state"] for job in (1, 2)] == ["queued", "running"]
    assert house.verb(wire.Cancel(jobs=(2,))) is None
    house.until(1, "completed")
    assert run.exit_of_runner() == 0


@pytest.mark.parametrize("claim", [True, False])
def test_one_whose_gpu_was_handed_on_is_over(house: House, *, claim: bool) -> None:
    """Its runner is gone and there is no record: it is lost; where nothing was ever started, it waits again."""
    past = Past(house)
    before = past.job(1, Running(CPU, 2**22 - 1, 1.0) if claim else Pending(CPU, 1.0), nobody(), "true")
    if claim:
        (before / "claim").write_text('{"env": {"TRAINQ_GPU_IDS": "cpu:0"}}\n', encoding="ascii")
    after = past.job(2, Queued(), nobody(), "true")
    (after / "claim").write_text('{"env": {"TRAINQ_GPU_IDS": "cpu:0"}}\n', encoding="ascii")
    record = {"exit_code": 3, "signal": None, "started_at": 2.0, "ended_at": 3.0, "seconds": 1.0}
    (after / "exit").write_text(json.dumps(record), encoding="ascii")
    house.start()
    assert house.until(2, "failed")["exit_code"] == 3
    house.until(1, "lost" if claim else "completed")
    assert not house.crashes


def test_one_whose_folder_was_removed_is_taken_over(launcher: Launcher, house: House) -> None:
    past, run = Past(house), launcher.prepare("sleep", "1000")
    folder = past.job(1, Running(CPU, 7, 1.0), run.runner.identity(local.boot_id()), "true")
    carried(run, folder)
    run.hang_up()
    shutil.rmtree(folder.parent)
    house.start()
    assert house.status(1)["state"] == "running"
    assert not run.runner.gone()
    assert house.verb(wire.Cancel(jobs=(1,))) is None
    assert run.exit_of_runner() == 0
    house.until(1, "lost")


def test_without_descriptors_one_taken_over_is_watched_later(
    launcher: Launcher, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainqueue.arbiter.TRAINER_PAUSE", 0.05)
    past, run = Past(house), launcher.prepare("sleep", "1000")
    carried(run, past.job(1, Running(CPU, 7, 1.0, stopping=True), run.runner.identity(local.boot_id()), "true"))
    run.hang_up()
    asked: list[int] = []

    def none_left(*_: object, **__: object) -> None:
        asked.append(1)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as broken:
        broken.setattr("trainqueue.bench.Bench._trainer", none_left)
        house.start()
        wait_until(lambda: len(asked) > 2)
        assert house.status(1)["state"] == "running"
    assert house.until(1, "cancelled")["signal"] == signal.SIGTERM
    assert run.exit_of_runner() == 0


# -- runners that died


def test_a_runner_killed_while_no_daemon_lived(house: House, tmp_path: Path) -> None:
    """Its child has left the session and kept its environment; the next job must not start beside it."""
    lock = tmp_path / "lock"
    child = f"exec 9>{lock}; flock 9; echo $$ > {tmp_path}/child; exec sleep 1000"
    lost = house.submit("sh", "-c", f"setsid sh -c '{child}' & sleep 1000")
    waiting = house.submit("sh", "-c", f"exec 9>{lock}; flock -n 9 || exit 9")
    wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip())
    house.until(lost, "running")
    house.stop()
    house.kill_runners()
    house.start()
    ended = house.until(lost, "lost")
    assert (ended["cause"], ended["exit_code"]) == ("runner-died", None)
    house.until(waiting, "completed")


# -- draining


def test_a_drain_with_nothing_to_wait_for_is_over(house: House) -> None:
    held = house.submit(hold=True)
    house.call(wire.Drain())
    assert house.on_exit.wait(5)
    house.stop()
    rows(house.home, "INSERT OR REPLACE INTO settings VALUES ('draining', '1')")
    house.start()
    assert house.call(wire.Queue())["draining"] is False
    house.verb(wire.Release(jobs=(held,)))
    house.until(held, "completed")
    assert not house.on_exit.is_set()
    house.restart()
    assert house.call(wire.Queue())["draining"] is False


def test_a_drain_goes_on_until_the_job_has_ended(house: House, tmp_path: Path) -> None:
    running = house.submit(*gated(tmp_path / "gate"))
    waiting = house.submit()
    house.until(running, "running")
    house.call(wire.Drain())
    house.restart()
    assert house.call(wire.Queue())["draining"] is True
    assert house.status(waiting)["why_code"] == "draining"
    assert not house.on_exit.is_set()
    (tmp_path / "gate").touch()
    assert house.on_exit.wait(5)
    house.restart()
    assert house.status(running)["state"] == "completed"
    assert house.call(wire.Queue())["draining"] is False
    house.until(waiting, "completed")


def test_a_drain_whose_last_job_ended_while_no_daemon_lived_is_over(house: House, tmp_path: Path) -> None:
    running = house.submit(*gated(tmp_path / "gate"))
    waiting = house.submit()
    house.until(running, "running")
    house.call(wire.Drain())
    house.stop()
    (tmp_path / "gate").touch()
    wait_until((house.home.attempt(running, 1) / "exit").exists)
    house.start()
    house.until(waiting, "completed")
    assert house.call(wire.Queue())["draining"] is False
