"""Cancel, grace, limits and warnings: all of it without a daemon's help."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from support import wait_until

if TYPE_CHECKING:
    from runner.conftest import Launcher

DEAF = "trap '' TERM; echo ready; sleep 1000"
"""Its child inherits the deafness."""


def test_sigterm_ends_a_job_that_obeys_at_once(launcher: Launcher) -> None:
    run = launcher.start("sleep", "1000", grace=1000)
    run.job()
    run.runner.signal(signal.SIGTERM)
    record = run.ended()
    assert (record["signal"], record["reason"]) == (signal.SIGTERM, "cancel")


def test_the_exit_code_of_a_cancelled_job_is_its_own(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("saves"), grace=1000)
    run.says("ready")
    run.runner.signal(signal.SIGTERM)
    record = run.ended()
    assert (record["exit_code"], record["signal"], record["reason"]) == (0, None, "cancel")
    run.says("saved")


def test_sigterm_ignored_means_grace_and_then_sigkill(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("ignores_term"), grace=0.3)
    run.says("ready")
    asked = time.monotonic()
    run.runner.signal(signal.SIGTERM)
    record = run.ended()
    assert (record["signal"], record["reason"]) == (signal.SIGKILL, "cancel")
    assert 0.3 <= time.monotonic() - asked < 3


def test_asking_again_neither_shortens_nor_prolongs_the_grace(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", DEAF, grace=0.3)
    run.says("ready")
    asked = time.monotonic()
    while time.monotonic() < asked + 0.25:
        run.runner.signal(signal.SIGTERM)
        assert not run.runner.gone(0.02)
    assert run.ended()["signal"] == signal.SIGKILL
    assert 0.3 <= time.monotonic() - asked < 3


def test_no_grace_at_all(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", DEAF, grace=0)
    run.says("ready")
    run.runner.signal(signal.SIGTERM)
    assert run.ended()["signal"] == signal.SIGKILL


def test_sigquit_ends_it_at_once(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", DEAF, grace=1000)
    run.says("ready")
    run.runner.signal(signal.SIGQUIT)
    record = run.ended()
    assert (record["signal"], record["reason"]) == (signal.SIGKILL, "cancel")


def test_sigquit_ends_a_grace_that_takes_too_long(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", "trap 'echo heard' TERM; echo ready; while :; do sleep 0.02; done", grace=1000)
    run.says("ready")
    run.runner.signal(signal.SIGTERM)
    run.says("heard")
    run.runner.signal(signal.SIGQUIT)
    record = run.ended()
    assert (record["signal"], record["reason"]) == (signal.SIGKILL, "cancel")


def test_the_whole_group_has_the_grace_and_not_its_leader_alone(launcher: Launcher) -> None:
    """A shell around the training dies of SIGTERM at once; the training must still have time to save."""
    shell = " ".join(f"'{word}'" for word in launcher.program("saves"))
    run = launcher.start("sh", "-c", f"{shell}; echo no", grace=5)
    run.says("ready")
    run.runner.signal(signal.SIGTERM)
    assert run.ended()["reason"] == "cancel"
    assert "saved" in run.text().split()


def test_the_grace_of_a_group_has_an_end_too(launcher: Launcher) -> None:
    shell = " ".join(f"'{word}'" for word in launcher.program("ignores_term"))
    run = launcher.start("sh", "-c", f"{shell}; echo no", grace=0.2)
    [pid] = run.says("ready")
    run.runner.signal(signal.SIGTERM)
    run.hear("ended")
    assert not run.alive(int(pid))
    assert run.exit_of_runner() == 0


def test_time_limit(launcher: Launcher) -> None:
    record = launcher.start("sleep", "1000", time_limit=0.2).ended()
    assert (record["signal"], record["reason"]) == (signal.SIGTERM, "time-limit")
    assert 0.2 <= record["seconds"] < 3


def test_time_limit_with_grace(launcher: Launcher) -> None:
    record = launcher.start("sh", "-c", DEAF, time_limit=0.4, grace=0.2).ended()
    assert (record["signal"], record["reason"]) == (signal.SIGKILL, "time-limit")
    assert 0.6 <= record["seconds"] < 3


def test_a_cancel_during_the_grace_of_a_limit_changes_no_reason(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("saves"), time_limit=0.4)
    run.says("saving")
    run.runner.signal(signal.SIGTERM)
    record = run.ended()
    assert (record["exit_code"], record["reason"]) == (0, "time-limit")


def test_a_job_that_ends_in_time_has_no_reason(launcher: Launcher) -> None:
    record = launcher.start("true", time_limit=10 * 365 * 86400, warn=1, grace=10 * 365 * 86400).ended()
    assert (record["exit_code"], record["reason"]) == (0, None)


def test_the_warning_comes_before_the_limit_and_once(launcher: Launcher) -> None:
    run = launcher.start(*launcher.program("saves"), time_limit=0.8, warn=0.4)
    began = run.hear("started")["at"]
    at = float(run.says("warned")[0])
    record = run.ended()
    assert (record["exit_code"], record["reason"]) == (0, "time-limit")
    assert 0.35 <= at - began <= record["seconds"]
    assert run.text().split().count("warned") == 1


def test_a_cancel_takes_the_place_of_warning_and_limit(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", DEAF, time_limit=0.8, warn=0.2, grace=1.0)
    run.says("ready")
    run.runner.signal(signal.SIGTERM)
    record = run.ended()
    assert (record["signal"], record["reason"]) == (signal.SIGKILL, "cancel")  # not of SIGUSR1
    assert record["seconds"] >= 1.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_cancel_that_comes_before_the_start_is_not_forgotten(launcher: Launcher, number: signal.Signals) -> None:
    run = launcher.arm("sleep", "1000")
    run.runner.signal(number)
    run.runner.go({})
    assert run.ended()["reason"] == "cancel"


def test_a_stopped_job_can_be_cancelled(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", "kill -STOP $$; echo no", grace=1000)
    pid = run.job()
    wait_until(lambda: run.status_of(pid)["State"].startswith("T"))
    run.runner.signal(signal.SIGTERM)
    assert run.ended()["signal"] == signal.SIGTERM
    assert not run.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_stopped_job_that_is_deaf_can_be_cancelled(launcher: Launcher, number: signal.Signals) -> None:
    run = launcher.start(*launcher.program("ignores_term", "stop"), grace=0.1)
    [pid] = run.says("ready")
    wait_until(lambda: run.status_of(int(pid))["State"].startswith("T"))
    run.runner.signal(number)
    assert run.ended()["signal"] == signal.SIGKILL


def test_stopping_a_job_is_not_its_end(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", "kill -STOP $$; exit 5")
    pid = run.job()
    wait_until(lambda: run.status_of(pid)["State"].startswith("T"))
    run.runner.signal(signal.SIGCHLD)  # as if somebody had died
    assert run.record() is None
    signal.pidfd_send_signal(fd := os.pidfd_open(pid), signal.SIGCONT)
    os.close(fd)
    assert run.ended()["exit_code"] == 5
