"""GPUs are locked against other queues of the machine, from before the start of a job until nothing of it lives."""

from __future__ import annotations

import fcntl
import os
import signal
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.conftest import Launcher, Run

GATE = "while [ ! -e gate ]; do sleep 0.01; done"


@pytest.fixture
def gpu() -> Iterator[str]:
    name = f"GPU-{uuid.uuid4()}"
    yield name
    place(name).unlink(missing_ok=True)


def place(gpu: str) -> Path:
    return Path("/run/lock" if Path("/run/lock").is_dir() else "/tmp") / f"trainq-{gpu}.lock"  # noqa: S108


def is_free(gpu: str) -> bool:
    with place(gpu).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def armed(launcher: Launcher, *argv: str) -> Run:
    run = launcher.prepare(*argv)
    run.runner.arm(run.folder, run.spec)
    return run


def test_it_holds_for_the_life_of_the_job(launcher: Launcher, gpu: str) -> None:
    run, other = armed(launcher, "sh", "-c", GATE), armed(launcher, "true")
    run.runner.go({}, {gpu: True})
    run.job()
    assert not is_free(gpu)
    other.runner.go({}, {gpu: True})
    assert other.hear("refused") == f"GPU {gpu} is in the hands of another queue of this machine"
    assert other.exit_of_runner() == 0
    assert not (other.folder / "claim").exists()
    (run.cwd / "gate").touch()
    run.hear("ended")
    assert is_free(gpu)  # already when the end is told
    assert run.exit_of_runner() == 0


def test_it_is_given_back_when_the_runner_is_killed(launcher: Launcher, gpu: str) -> None:
    run = armed(launcher, "sleep", "60")
    run.runner.go({}, {gpu: True})
    job = run.job()
    run.runner.signal(signal.SIGKILL)
    run.exit_of_runner()
    wait_until(lambda: is_free(gpu))
    os.kill(job, signal.SIGKILL)  # a daemon sweeps what is left


def test_jobs_that_share_do_not_shut_each_other_out(launcher: Launcher, gpu: str) -> None:
    first, second = armed(launcher, "sh", "-c", GATE), armed(launcher, "true")
    first.runner.go({}, {gpu: False})
    first.job()
    second.runner.go({}, {gpu: False})
    assert second.ended()["exit_code"] == 0
    (first.cwd / "gate").touch()
    first.ended()


def test_where_no_lock_can_be_had_jobs_run(launcher: Launcher, gpu: str) -> None:
    place(gpu).mkdir()
    try:
        run = armed(launcher, "true")
        run.runner.go({}, {gpu: True})
        assert run.ended()["exit_code"] == 0
    finally:
        place(gpu).rmdir()
