"""`signal`, `suspend`, `continue`, `preempt` as people type them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import wait_until

from trainqueue.cli.control import parted

if TYPE_CHECKING:
    from commands import Cli

    from trainqueue.client import Client

SAYS = "trap 'echo got it' USR1; trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Autouse, so that it comes before the daemon's start."""
    monkeypatch.setenv("TRAINQ_FAKE_GPUS", "2x24GiB")


@pytest.fixture
def started(client: Client) -> Client:
    """Two jobs that run and have said so."""
    client.submit([{"command": ["sh", "-c", SAYS], "cwd": "/", "group": "g", "name": f"t{at}"} for at in (1, 2)])
    wait_until(lambda: all(b"ready" in client.log(job)["data"] for job in (1, 2)), 20)
    return client


def test_signal_last_or_first() -> None:
    assert parted(["3", "5-6", "USR1"]) == ([3, 5, 6], "USR1")
    assert parted(["SIGHUP", "3"]) == ([3], "SIGHUP")
    assert parted(["3", "10"]) == ([3], "10")
    assert parted(["usr2"]) == ([], "usr2")


def test_signal(cli: Cli, started: Client) -> None:
    assert cli("signal", "1", "USR1").stdout == "1\tSIGUSR1 sent\n"
    assert cli("signal", "--name", "t2", "10").stdout == "2\tsignal 10 sent\n"
    wait_until(lambda: all(b"got it" in started.log(job)["data"] for job in (1, 2)))
    for words, said in (("1 KILL", "is not sent"), ("1 COLOUR", "there is no signal 'COLOUR'")):
        refused = cli("signal", *words.split())
        assert (refused.returncode, said in refused.stderr) == (1, True), refused
    assert cli("signal", "USR1").returncode == 2
    assert cli("signal", "USR1", "x").returncode == 2
    assert cli("signal", "77", "USR1").returncode == 4


def test_suspend_and_continue(cli: Cli, started: Client) -> None:
    assert cli("suspend", "--group", "g").stdout == "1\tsuspended\n2\tsuspended\n"
    assert started.status(1).suspended
    assert "2 jobs match, all are suspended already" in cli("suspend", "--all").stderr
    assert cli("signal", "1", "USR1").stdout == "1\tSIGUSR1 kept until it is continued\n"
    assert cli("continue", "2").stdout == "2\trunning\n"
    assert b"got it" not in started.log(1)["data"]
    assert cli("continue", "--all", "--yes").stdout == "1\trunning\n"
    assert not started.status(1).suspended
    wait_until(lambda: b"got it" in started.log(1)["data"])


def test_preempt(cli: Cli, started: Client) -> None:
    assert cli("preempt", "--hold", "--name", "t1").stdout == "1\tpreempting\n"
    wait_until(lambda: started.status(1).state == "queued", 20)
    job = started.status(1)
    assert (job.attempt, job.hold) == (2, True)
    refused = cli("preempt", "1")
    assert refused.returncode == 1
