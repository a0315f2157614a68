"""Nobody of a job's tree outlives it, however it tried; and nobody is left unburied."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from support import wait_until

if TYPE_CHECKING:
    from runner.conftest import Launcher

STOPS = (signal.SIGTERM, signal.SIGQUIT)


def test_an_escapee_does_not_survive_the_normal_end(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("escapes", "end"))
    record = run.ended()
    [pid] = run.says("escaped")
    assert (record["exit_code"], record["reason"]) == (0, None)
    assert not run.alive(int(pid))


@pytest.mark.parametrize("number", STOPS)
def test_an_escapee_does_not_survive_a_cancel(launcher: Launcher, number: signal.Signals) -> None:
    run = launcher.start(*launcher.program("escapes", "stay"))
    run.says("ready")
    run.runner.signal(number)
    assert run.hear("ended")["reason"] == "cancel"
    [pid] = run.says("escaped")
    assert not run.alive(int(pid))  # before the daemon hears of the end, and not just soon after
    assert run.exit_of_runner() == 0


def test_an_escapee_does_not_survive_the_time_limit(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("escapes", "stay"), time_limit=0.5)
    assert run.ended()["reason"] == "time-limit"
    [pid] = run.says("escaped")
    assert not run.alive(int(pid))


def test_a_stopped_escapee_does_not_survive(launcher: Launcher) -> None:
    stopped = " ".join(f"'{word}'" for word in launcher.program("ignores_term", "stop"))
    run = launcher.start("sh", "-c", f"setsid {stopped} & while [ ! -e gate ]; do sleep 0.01; done")
    [pid] = run.says("ready")
    wait_until(lambda: run.status_of(int(pid))["State"].startswith("T"))
    (run.cwd / "gate").touch()
    assert run.ended()["exit_code"] == 0
    assert not run.alive(int(pid))


def test_a_shells_background_jobs_do_not_survive(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", "sleep 1000 & echo left $!; exit 4")
    assert run.ended()["exit_code"] == 4
    [pid] = run.says("left")
    assert not run.alive(int(pid))


@pytest.mark.parametrize("number", STOPS)
def test_hundreds_of_children(launcher: Launcher, number: signal.Signals) -> None:
    run = launcher.start(*launcher.program("breeds", 300, "stay"), grace=0.1)
    run.says("ready")
    family = run.children_of(run.job())
    assert len(family) == 300
    run.runner.signal(number)
    assert run.hear("ended")["signal"] == signal.SIGKILL
    assert not [pid for pid in family if run.alive(pid)]
    assert run.exit_of_runner() == 0


def test_hundreds_of_children_that_the_main_process_forgot(launcher: Launcher) -> None:
    assert launcher.start(*launcher.program("breeds", 300, "end")).ended()["exit_code"] == 0


def test_a_chain_that_regrows_faster_than_one_can_look(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("regrows"))
    assert run.ended()["exit_code"] == 0


def test_orphans_are_buried_while_the_job_runs(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("orphans", 100))
    run.says("ready")
    pid = run.job()
    wait_until(lambda: run.children_of(run.runner.pid) == {pid})
    assert run.record() is None
    run.runner.signal(signal.SIGTERM)
    assert run.ended()["signal"] == signal.SIGTERM


def test_a_main_process_that_is_killed_by_another_hand(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", "echo ready; (sleep 0.05; kill -9 $$) & sleep 1000")
    record = run.ended()
    assert (record["signal"], record["reason"]) == (signal.SIGKILL, None)
