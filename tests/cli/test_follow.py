"""Following a job: over retries, over a restart of the daemon, without asking all the time, and interrupted."""

from __future__ import annotations

import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from commands import Terminal
from support import wait_until

from trainqueue import tail as tails
from trainqueue.client import Client
from trainqueue.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from commands import Cli
    from support import Daemon

TWICE = 'echo "first line of $TRAINQ_ATTEMPT"; echo "last line of $TRAINQ_ATTEMPT"; test $TRAINQ_ATTEMPT = 2'
BOTH = "first line of 1\nlast line of 1\nfirst line of 2\nlast line of 2\n"
STUBBORN = 'trap "echo bye; exit 9" TERM; echo here; while :; do sleep 0.02; done'


def test_run_shows_every_attempt(cli: Cli) -> None:
    done = cli("run", "--retries", "exit=1", "--", "sh", "-c", TWICE)
    assert (done.returncode, done.stdout) == (0, BOTH)


def test_logs_follow_over_a_retry(cli: Cli, tmp_path: Path) -> None:
    gate = f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; exit 1"
    cli("submit", "--retries", "exit=1", "--", "sh", "-c", f"{TWICE} || {gate}")
    with subprocess.Popen([*cli.prefix, "logs", "-f", "1"], env=cli.env, stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"first line of 1\n"
        (tmp_path / "go").touch()
        assert follower.stdout.read().decode() == BOTH.partition("\n")[2]
    assert cli("logs", "--attempt", "1", "1").stdout == "first line of 1\nlast line of 1\n"
    assert cli("logs", "-n", "1", "1").stdout == "last line of 2\n"
    assert cli("logs", "--attempt", "3", "1").returncode == 4


class Counting(Client):
    """Counts the looks at a log."""

    looks = 0

    def log(self, job: int, **fields: Any) -> dict[str, Any]:
        self.looks += 1
        return super().log(job, **fields)


def test_a_job_that_waits_is_not_asked_for_its_log(daemon: Daemon, client: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(tails, "PATIENCE", 60.0)  # so that only an event can tell of the start
    job = client.submit([{"command": ["echo", "started"], "cwd": "/", "hold": True}])[0]["id"]
    with Counting(daemon.home) as counting:
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.extend(part["data"] for part in Tail(counting, job).parts()))
        reader.start()
        wait_until(lambda: counting.looks >= 2)  # the second one at the welcome
        other = client.submit([{"command": ["sleep", "0.7"], "cwd": "/"}])[0]["id"]
        client.wait([other], 20)
        assert counting.looks <= 3  # and that one at the other's welcome
        client.verb("release", [job])
        reader.join(20)
        assert b"".join(read) == b"started\n"


def test_of_a_job_that_has_not_begun_it_is_said_that_there_is_nothing(cli: Cli, client: Client) -> None:
    client.call("pause")
    cli("submit", "--", "true")
    shown = cli("logs", "1")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "job 1 has not begun: the queue is paused" in shown.stderr


def test_run_outlasts_a_restart_of_the_daemon(cli: Cli, daemon: Daemon) -> None:
    program = f"echo one; while [ ! -e {daemon.home.path}/go ]; do sleep 0.02; done; echo two; exit 5"
    command = [*cli.prefix, "run", "--", "sh", "-c", program]
    with subprocess.Popen(
        command, env=cli.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as runner:
        assert runner.stdout is not None
        assert runner.stderr is not None
        assert runner.stdout.readline() == b"one\n"
        daemon.kill()
        while b"waiting" not in runner.stderr.readline():
            assert runner.poll() is None
        daemon.start()
        (daemon.home.path / "go").touch()
        assert runner.stdout.read() == b"two\n"
        assert runner.wait(20) == 5


def test_after_a_stop_nobody_is_waited_for_long(cli: Cli, daemon: Daemon) -> None:
    program = f"echo one; while [ ! -e {daemon.home.path}/go ]; do sleep 0.02; done"
    command = [*cli.prefix, "run", "--", "sh", "-c", program]
    with subprocess.Popen(command, env=cli.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as runner:
        assert runner.stdout is not None
        assert runner.stderr is not None
        assert runner.stdout.readline() == b"one\n"
        daemon.stop()
        told = runner.stderr.read()
        assert runner.wait(20) == 3
        assert b"up to 5 s" in told
    (daemon.home.path / "go").touch()


@pytest.fixture
def running(cli: Cli) -> Iterator[Terminal]:
    """`run` on a terminal, following a job that has printed a line."""
    with Terminal([*cli.prefix, "run", "--", "sh", "-c", STUBBORN], cli.env) as terminal:
        terminal.expect("here")
        terminal.type("\x03")
        terminal.expect("Cancel job 1?")
        yield terminal


def test_ctrl_c_and_yes_cancels_and_goes_on_where_it_was(running: Terminal) -> None:
    running.type("y\n")
    text = running.rest()
    assert text.count("here") == 1
    assert "bye" in text.partition("Cancel job 1?")[2]
    assert "job 1: cancelled" in text
    assert running.process.returncode == 9


@pytest.mark.parametrize(
    "keys", ["n\n", "d\n", "\n", "\x03", "\x04"], ids=["no", "detach", "return", "ctrl-c", "end of input"]
)
def test_ctrl_c_and_anything_else_detaches(running: Terminal, cli: Cli, keys: str) -> None:
    running.type(keys)
    assert "trainq-cli logs -f 1" in running.rest()
    assert running.process.returncode == 130
    assert cli.json("status", "1")["state"] == "running"


def test_only_a_completed_job_is_zero(cli: Cli) -> None:
    """Told to end by its time limit it exits with 0; nobody should build on that."""
    trap = 'trap "exit 0" TERM; while :; do sleep 0.02; done'
    done = cli("run", "--time-limit", "0.2s", "--", "sh", "-c", trap)
    assert done.returncode == 1
    assert "job 1: failed (time-limit, exit code 0" in done.stderr
    assert cli("wait", "1").returncode == 1
    cli("submit", "--hold", "--", "true")
    cli("cancel", "2")
    assert cli("wait", "2").returncode == 1


def test_the_colour_of_a_job_does_not_stay(cli: Cli) -> None:
    cli("run", "--", "printf", r"\033[35mpurple")
    assert cli.on_a_terminal("logs", "1").endswith("purple\x1b[0m")
    assert cli("logs", "1").stdout == "\x1b[35mpurple"
