"""kill -9 of runners, nurseries and daemons: a GPU is given on only when nothing of the last job lives.

The "GPU" is a file with a lock on it: whoever starts while another one holds it exits with 9.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from house import gated, rows
from runner.conftest import PROGRAMS, children_of
from support import wait_until

from trainqueue.client import Client
from trainqueue.errors import NotAnsweringError
from trainqueue.launch import leftovers, processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support import Daemon

    from trainqueue.jobinfo import Job


class Machine:
    """A daemon with one GPU, and the processes below it."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self.daemon, self.gpu = daemon, folder / "gpu"
        self.client = Client(daemon.home)

    def submit(self, *argv: str, **fields: object) -> int:
        job = {"command": argv, "cwd": str(self.gpu.parent), "env": {"PATH": os.defpath}, **fields}
        return int(self.client.submit([job])[0]["id"])

    def holds(self, *how: str) -> int:
        """A job that has the GPU, with a child that hides."""
        job = self.submit(sys.executable, "-I", "-S", str(PROGRAMS / "holds.py"), str(self.gpu), *how)
        wait_until(self.held.exists)
        wait_until(lambda: self.client.status(job).state == "running")
        return job

    @property
    def held(self) -> Path:
        return self.gpu.with_suffix(".held")

    def takes(self) -> int:
        """A job that must find the GPU free."""
        return self.submit("sh", "-c", f"exec 9>{self.gpu}; flock -n 9 || exit 9")

    def runner_of(self, job: int) -> int:
        [(runner,)] = rows(self.daemon.home, f"SELECT runner FROM attempts WHERE job={job}")
        return int(json.loads(runner)["pid"])

    def parent_of(self, pid: int) -> int:
        found = processes.look(pid)
        assert found is not None
        return found.parent

    def ends(self, *jobs: int) -> list[tuple[str, str | None]]:
        return [(job.state, job.cause) for job in self.ended(*jobs)]

    def ended(self, *jobs: int) -> list[Job]:
        return self.client.wait(jobs, 20)


@pytest.fixture
def machine(daemon: Daemon, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(daemon, tmp_path)
    yield made
    made.client.close()
    if made.held.exists():
        with contextlib.suppress(ProcessLookupError):  # it has survived: the test has failed
            kill(int(made.held.read_text()))


LOST, DONE = ("lost", "runner-died"), ("completed", None)


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("daemon_too", [False, True])
def test_a_child_that_hides_is_dead_before_the_next_job_starts(machine: Machine, *, daemon_too: bool) -> None:
    job, behind = machine.holds("quiet"), machine.takes()
    runner = machine.runner_of(job)
    if daemon_too:
        machine.daemon.kill()
    kill(runner)
    if daemon_too:
        machine.daemon.start()
    assert machine.ends(job, behind) == [LOST, DONE]
    assert not Path("/proc", machine.held.read_text()).exists()


def test_a_child_that_is_born_while_we_look_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a parent that was in the list, and dead when it was looked at."""
    folder, listed, born = tmp_path / "7" / "attempt-1", processes.pids, list[subprocess.Popen[bytes]]()

    def late() -> set[int]:
        found = listed()
        if not born:
            env = {"PATH": os.defpath, "TRAINQ_JOB_DIR": str(folder.parent)}
            born.append(subprocess.Popen(["sleep", "1000"], env=env))
        return found

    monkeypatch.setattr(leftovers, "pids", late)
    found = leftovers.sweep(folder)
    born[0].kill()
    born[0].wait()
    assert found == 1


def test_one_taken_over_is_still_looked_after(machine: Machine) -> None:
    """Its nursery is that of a daemon that died before."""
    job, behind = machine.holds("quiet"), machine.takes()
    machine.daemon.kill()
    machine.daemon.start()
    kill(machine.runner_of(job))
    assert machine.ends(job, behind) == [LOST, DONE]


def test_without_its_nursery_a_child_is_known_by_its_output(machine: Machine) -> None:
    job, behind = machine.holds(), machine.takes()
    runner = machine.runner_of(job)
    kill(machine.parent_of(runner), runner)
    assert machine.ends(job, behind) == [LOST, DONE]


def test_while_a_nursery_is_at_it_the_gpu_is_held(machine: Machine) -> None:
    job, behind = machine.holds("quiet"), machine.takes()
    runner = machine.runner_of(job)
    nursery = machine.parent_of(runner)
    os.kill(nursery, signal.SIGSTOP)
    try:
        kill(runner)
        with pytest.raises(TimeoutError):
            machine.client.wait([job], 0.5)
        assert machine.client.status(behind).state == "queued"
    finally:
        os.kill(nursery, signal.SIGCONT)
    assert machine.ends(job, behind) == [LOST, DONE]


def test_all_runners_at_once(machine: Machine) -> None:
    jobs = [machine.holds("quiet"), *(machine.submit("sleep", "1000", gpus=0) for _ in range(2))]
    wait_until(lambda: machine.client.queue()["counts"].get("running") == 3)
    behind = machine.takes()
    kill(*map(machine.runner_of, jobs))
    assert machine.ends(*jobs, behind) == [LOST, LOST, LOST, DONE]


def test_all_of_the_armed_too(machine: Machine) -> None:
    """What has never started is started by another runner."""
    gate = machine.gpu.with_suffix(".gate")
    job = machine.submit(*gated(gate))
    behind = machine.takes()
    wait_until(lambda: rows(machine.daemon.home, f"SELECT 1 FROM attempts WHERE job={behind}"))
    nursery = machine.parent_of(machine.runner_of(job))
    kill(*(children_of(nursery) - {machine.runner_of(job)}))
    gate.touch()
    assert machine.ends(job, behind) == [DONE, DONE]
    assert machine.client.status(behind).attempt == 1


def test_a_nursery_alone(machine: Machine) -> None:
    gate = machine.gpu.with_suffix(".gate")
    job, behind = machine.submit(*gated(gate)), machine.takes()
    wait_until(lambda: machine.client.status(job).state == "running")
    kill(machine.parent_of(machine.runner_of(job)))
    gate.touch()
    jobs = [job, behind, *(machine.takes() for _ in range(5))]
    assert machine.ends(*jobs) == [DONE] * 7


def test_a_runner_at_any_moment(machine: Machine) -> None:
    """Armed, just going, running or ending: the next one finds the GPU free, and an end is true or lost."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice, jobs = random.Random(seed), list[int]()
    hides = "setsid env -i sleep 0.05 >/dev/null 2>&1"
    program = f"exec 9>{machine.gpu}; flock -n 9 || exit 9; {hides} & sleep 0.02; exit 3"
    for _ in range(25):
        jobs += [machine.submit("sh", "-c", program), machine.takes()]
        threading.Event().wait(dice.uniform(0.0, 0.05))
        for (runner,) in rows(machine.daemon.home, "SELECT runner FROM attempts"):
            if dice.random() < 0.7:
                kill_runner(json.loads(runner))
    found = {(job.state, job.cause, job.exit_code) for job in machine.ended(*jobs)}
    assert found <= {("lost", "runner-died", None), ("failed", "exit", 3), ("completed", None, 0)}
    assert ("failed", "exit", 3) in found


def kill_runner(identity: dict[str, int]) -> None:
    found = processes.look(identity["pid"])
    if found is not None and found.ticks == identity["ticks"]:
        kill(found.pid)


def lives(pid: int) -> bool:
    found = processes.look(pid)
    return found is not None and found.state != "Z"


def test_a_nursery_goes_with_its_last_runner(machine: Machine) -> None:
    gate = machine.gpu.with_suffix(".gate")
    job = machine.submit(*gated(gate))
    wait_until(lambda: machine.client.status(job).state == "running")
    nursery = machine.parent_of(machine.runner_of(job))
    assert machine.daemon.stop() == 0
    assert lives(nursery)
    gate.touch()
    wait_until(lambda: not lives(nursery))
    machine.daemon.start()
    assert machine.ends(job) == [DONE]


def test_a_stopped_runner_disturbs_no_job_and_cancels_when_it_goes_on(machine: Machine) -> None:
    ticks = machine.gpu.with_suffix(".ticks")
    job = machine.submit("sh", "-c", f"while :; do echo x >> {ticks}; sleep 0.01; done")
    wait_until(ticks.exists)
    wait_until(lambda: machine.client.status(job).state == "running")
    runner = machine.runner_of(job)
    os.kill(runner, signal.SIGSTOP)
    try:
        size = ticks.stat().st_size
        wait_until(lambda: ticks.stat().st_size > size + 10)
        machine.client.cancel([job])
        with pytest.raises(TimeoutError):
            machine.client.wait([job], 0.3)
        assert machine.client.status(job).stopping
    finally:
        os.kill(runner, signal.SIGCONT)
    assert machine.ends(job) == [("cancelled", "user")]


def test_a_stopped_daemon_does_not_answer_and_goes_on(machine: Machine) -> None:
    process = machine.daemon.process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        with (
            Client(machine.daemon.home, timeout=0.5) as client,
            pytest.raises(NotAnsweringError, match="did not answer"),
        ):
            client.queue()
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert machine.ends(machine.takes()) == [DONE]
