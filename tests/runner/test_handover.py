"""Between daemon and runner: arm, go, claim; and what happens when one of them goes away."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from runner.conftest import PYTHON
from support import wait_until

from trainqueue.launch import leftovers, local, verdict

if TYPE_CHECKING:
    from runner.conftest import Launcher

GATE = "while [ ! -e gate ]; do sleep 0.01; done; exit 7"
HARMLESS = ("HUP", "INT", "PIPE", "USR1", "USR2", "ALRM", "XFSZ", "TTOU", "PROF")


def test_the_packets_of_a_life(launcher: Launcher) -> None:
    run = launcher.start("true")
    record = run.ended()
    assert [next(iter(packet)) for packet in run.heard] == ["ready", "armed", "started", "ended"]
    started = run.heard[2]["started"]
    assert (started["pid"], started["at"]) == (record["pid"], record["started_at"])
    assert verdict.started_in(run.folder).items() >= started.items()
    assert run.heard[0]["pid"] == run.runner.pid


def test_a_runner_is_the_leader_of_its_own_session(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", GATE)
    run.job()
    assert os.getsid(run.runner.pid) == run.runner.pid
    (run.cwd / "gate").touch()
    run.ended()


def test_the_last_arm_counts(launcher: Launcher) -> None:
    first, run = launcher.prepare("sh", "-c", "exit 1"), launcher.prepare("sh", "-c", "exit 2")
    for each in (first, run):
        run.runner.arm(each.folder, each.spec)
    run.runner.go({})
    assert run.ended()["exit_code"] == 2
    assert not (first.folder / "claim").exists()
    first.hang_up()
    assert first.exit_of_runner() == 0


def test_a_spec_that_cannot_be_read_starts_nothing(launcher: Launcher) -> None:
    run = launcher.prepare("true")
    assert run.runner.sock is not None
    with (launcher.home / "half").open("w+b") as file:
        file.write(b'{"argv": ["tru')
        file.seek(0)
        socket.send_fds(run.runner.sock, [json.dumps({"arm": str(run.folder)}).encode()], [file.fileno()])
    run.exit_of_runner()
    assert verdict.verdict(run.folder) == "void"


def test_a_claim_without_words_means_that_nothing_was_started(launcher: Launcher) -> None:
    run = launcher.prepare("true")
    (run.folder / "claim").touch()
    assert verdict.verdict(run.folder) == "void"
    run.hang_up()
    assert run.exit_of_runner() == 0


@pytest.mark.parametrize("by", ["daemon", "runner"])
def test_with_the_claim_there_nothing_starts(launcher: Launcher, by: str) -> None:
    run = launcher.arm("sh", "-c", "echo started")
    if by == "daemon":
        assert verdict.claim(run.folder)
    else:
        (run.folder / "claim").write_text('{"env": {}}\n{"pid": 1, "at": 0}\n')
    run.runner.go({})
    assert run.exit_of_runner() == 0
    assert run.runner.receive() in ({}, {"ready": True, "protocol": 1, "pid": run.runner.pid})
    assert not run.log.exists()
    assert verdict.verdict(run.folder) == ("void" if by == "daemon" else "lost")


def test_the_folder_may_be_gone_before_the_start(launcher: Launcher) -> None:
    run = launcher.arm("sh", "-c", "echo started")
    run.folder.rmdir()
    run.runner.go({})
    assert run.exit_of_runner() == 0
    assert not run.log.exists()


@pytest.mark.parametrize("armed", [False, True])
def test_a_daemon_that_leaves_before_the_start_takes_the_runner_along(launcher: Launcher, *, armed: bool) -> None:
    run = launcher.arm("sh", "-c", "echo started") if armed else launcher.prepare("true")
    run.hang_up()
    assert run.exit_of_runner() == 0
    assert not run.log.exists()
    assert verdict.verdict(run.folder) == "void"


def test_a_daemon_that_dies_with_words_unread_takes_the_runner_along(launcher: Launcher) -> None:
    run = launcher.prepare("sh", "-c", "echo started")
    run.runner.arm(run.folder, run.spec)
    wait_until(lambda: run.status_of(run.runner.pid)["State"].startswith("S"))
    run.hang_up()
    assert run.exit_of_runner() == 0
    assert verdict.verdict(run.folder) == "void"


def test_a_go_holds_even_when_the_daemon_dies_right_after(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", "exit 7")
    run.hang_up()
    assert run.exit_of_runner() == 0
    record = run.record()
    assert record is not None
    assert record.exit_code == 7


def test_a_job_runs_on_without_its_daemon(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", f"echo before; {GATE}")
    run.says("before")
    run.hang_up()
    (run.cwd / "gate").touch()
    assert run.exit_of_runner() == 0
    record = run.record()
    assert record is not None
    assert (record.exit_code, record.signal, record.reason) == (7, None, None)


def test_the_next_daemon_finds_and_cancels_it(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", "trap '' TERM; echo ready; sleep 1000", grace=0.1)
    run.says("ready")
    boot = local.boot_id()
    identity = run.runner.identity(boot)
    run.hang_up()
    found = local.find(identity, boot)
    assert found is not None
    found.signal(signal.SIGTERM)
    assert found.gone(5)
    found.close()
    record = run.record()
    assert record is not None
    assert (record.signal, record.reason) == (signal.SIGKILL, "cancel")
    assert local.find(identity, boot) is None


def test_the_limit_holds_without_a_daemon(launcher: Launcher) -> None:
    run = launcher.start("sh", "-c", "trap '' TERM; echo ready; sleep 1000", time_limit=0.3, grace=0.1)
    run.hang_up()
    assert run.exit_of_runner() == 0
    record = run.record()
    assert record is not None
    assert (record.signal, record.reason) == (signal.SIGKILL, "time-limit")


@pytest.mark.parametrize("name", HARMLESS)
def test_what_else_the_runner_is_sent_does_not_end_the_job(launcher: Launcher, name: str) -> None:
    run = launcher.start("sh", "-c", GATE)
    run.job()
    run.runner.signal(signal.Signals[f"SIG{name}"])
    (run.cwd / "gate").touch()
    assert run.ended()["exit_code"] == 7


def test_a_runner_that_is_killed_leaves_no_record(launcher: Launcher) -> None:
    stays = [*PYTHON, "-c", "import time; print('runs', flush=True); time.sleep(1000)"]
    run = launcher.start(*stays, env={"PATH": os.defpath, "TRAINQ_JOB_DIR": str(launcher.home)})
    pid = run.job()
    run.says("runs")  # by its birth alone the kernel may not show its environment yet
    run.runner.signal(signal.SIGKILL)
    assert run.exit_of_runner() == -signal.SIGKILL
    assert verdict.verdict(run.folder) == "lost"
    assert leftovers.sweep(run.folder) == 1
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL  # the test is its parent now


@pytest.mark.usefixtures("launcher")
def test_a_daemon_without_standard_streams_can_start_runners() -> None:
    """Its sockets then have the numbers 0 and 1."""
    script = (
        "import os, select, sys; os.closerange(0, 3)\n"
        "from trainqueue.launch.nursery import Nursery, known\n"
        "nursery = Nursery()\n"
        "runner = known(nursery.order())\n"
        "runner.sock.close()\n"
        "assert runner.gone(5)\n"
        "gone = os.pidfd_open(nursery._pid)\n"
        "nursery.close()\n"
        "assert select.select([gone], [], [], 5)[0]\n"
        "os._exit(0)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(local.__file__).parents[2])}
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", script], env)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
