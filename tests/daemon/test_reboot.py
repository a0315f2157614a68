"""A real trainqd under another boot id than before: what a person sees, and how the queue goes on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from typing import TYPE_CHECKING

import pytest
from commands import Cli
from house import rows
from support import Daemon, wait_until

from trainqueue.client import Client

if TYPE_CHECKING:
    from pathlib import Path

    from trainqueue.home import Home


def power_off(daemon: Daemon) -> None:
    """Daemon, runners and jobs, all at once."""
    daemon.kill()
    pids = [json.loads(runner)["pid"] for (runner,) in rows(daemon.home, "SELECT runner FROM attempts")]
    groups = rows(daemon.home, "SELECT json_extract(detail, '$.pid') FROM jobs WHERE state = 'running'")
    for pid in [*pids, *(-pid for (pid,) in groups)]:
        with contextlib.suppress(ProcessLookupError):
            (os.kill if pid > 0 else os.killpg)(abs(pid), signal.SIGKILL)


@pytest.fixture
def machine(home: Home, tmp_path: Path) -> Daemon:
    """One that holds its queue after a reboot."""
    settings = tmp_path / "trainq.toml"
    settings.write_text('[queue]\nafter_reboot = "hold"\n', encoding="ascii")
    made = Daemon(home)
    made.env["TRAINQ_CONFIG"] = str(settings)
    made.boot("one")
    made.start()
    return made


def test_every_view_says_why_nothing_starts(machine: Daemon, tmp_path: Path) -> None:
    cli = Cli(machine)
    script = f"touch {tmp_path}/up$TRAINQ_ATTEMPT$TRAINQ_RESUME; [ $TRAINQ_ATTEMPT = 2 ] || exec sleep 1000"
    for options in (["--retries", "reboot=1"], []):
        cli("submit", *options, "--", "sh", "-c", script)
    wait_until((tmp_path / "up1").exists)
    wait_until(lambda: cli.json("status", "1")["state"] == "running")
    power_off(machine)
    machine.boot("two")
    for _ in range(2):
        machine.start()
        sentence = r"The queue is PAUSED since the machine was restarted \(.*:\d\d\): nothing starts. trainq-cli resume"
        assert re.search(sentence, cli("status").stderr)
        assert re.search(sentence, cli("queue").stderr)
        found = cli.json("queue")
        assert (found["paused"], found["pause_reason"]) == (True, "the machine was restarted")
        assert [(job["id"], job["attempt"]) for job in found["queued"]] == [(1, 2), (2, 1)]
        why = "the queue is paused since the machine was restarted; `trainq-cli resume` goes on"
        assert cli.json("status", "1")["why"] == why
        assert why in cli("status", "2").stdout
        assert "queue paused, since the machine was restarted" in cli("events").stdout
        machine.kill()  # it stays so over a death of the daemon
    machine.start()
    assert cli("resume").stdout == "resumed\n"
    assert "PAUSED" not in cli("status").stderr
    wait_until((tmp_path / "up21").exists)
    wait_until(lambda: cli.json("status", "1")["state"] == "completed")
    assert cli("cancel", "2").returncode == 0
    assert cli("wait", "2").returncode != 0
    assert machine.stop() == 0


def test_a_job_that_nobody_wants_again_is_lost(machine: Daemon) -> None:
    with Client(machine.home) as client:
        lost = client.submit([{"command": ["sleep", "1000"], "cwd": "/"}])[0]["id"]
        wait_until(lambda: client.status(lost).state == "running")
    power_off(machine)
    machine.boot("two")
    machine.start()
    said = Cli(machine)("wait", str(lost))
    assert (said.returncode, said.stdout) == (1, "")
    assert "lost (reboot, the machine went down while it ran; nobody knows how it ended)" in said.stderr
    with Client(machine.home) as client:
        assert client.queue()["paused"] is False, "nothing waits: nothing is held"
        done = client.submit([{"command": ["true"], "cwd": "/"}])[0]["id"]
        assert client.wait([done], 10)[0].state == "completed"
    assert machine.stop() == 0
