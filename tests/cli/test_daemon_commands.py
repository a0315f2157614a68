"""Starting daemons, inside and outside of jobs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from trainqueue.capture import MARKS
from trainqueue.cli import COMMANDS
from trainqueue.cli import cli as group

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Cli

CLI = f"{sys.executable} -m trainqueue.cli"


def inside(cli: Cli, *words: str) -> str:
    """What a job prints that runs this program."""
    return cli("run", "--", "sh", "-c", " ".join(words)).stdout


def test_a_job_submitted_by_a_job_gets_no_mark_of_it(cli: Cli) -> None:
    cli.env |= {"TRAINQ_SECOND": "kept"}
    again = f'test $TRAINQ_ATTEMPT = 2 && {CLI} submit -- sh -c "env | grep -E TRAINQ_\\|CUDA_"'
    cli("run", "--retries", "exit=1", "--", "sh", "-c", again)
    assert cli("wait", "2").returncode == 0
    found = dict(line.split("=", 1) for line in cli("logs", "2").stdout.splitlines())
    assert (found["TRAINQ_JOB_ID"], found["TRAINQ_ATTEMPT"], found["TRAINQ_SECOND"]) == ("2", "1", "kept")
    assert "TRAINQ_RESUME" not in found


def test_people_keep_their_own_devices(cli: Cli) -> None:
    """Only inside a job CUDA_DEVICE_ORDER is trainq's; a daemon sets both anew, so look at what is sent."""
    cli.env |= {"TRAINQ_RESUME": "1", "MINE": "1"}
    assert inside(cli, "echo $MINE $TRAINQ_RESUME") == "1\n"


@pytest.mark.parametrize("command", ["submit -- true", "run -- true", "daemon start"])
def test_no_daemon_is_started_from_within_a_job(cli: Cli, tmp_path: Path, command: str) -> None:
    cli.env["TRAINQ_HOME"] = str(tmp_path / "other")
    cli.env["TRAINQ_JOB_ID"] = "1"
    refused = cli(*command.split())
    assert refused.returncode == 3
    assert "start it from outside: trainq-cli daemon start" in refused.stderr
    assert not (tmp_path / "other" / "trainqd.lock").exists()


def test_within_a_job_a_running_daemon_is_used(cli: Cli) -> None:
    assert inside(cli, CLI, "submit --hold -- true") == "2\n"
    assert inside(cli, CLI, "daemon start >/dev/null; echo $?") == "0\n"


def test_a_started_daemon_has_no_marks(cli: Cli, tmp_path: Path) -> None:
    cli.env["TRAINQ_HOME"] = str(tmp_path / "other")
    cli.env |= {name: "1" for name in MARKS if name != "TRAINQ_JOB_ID"}
    pid = cli.json("daemon", "start")["pid"]
    with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
        names = {entry.partition(b"=")[0].decode() for entry in file.read().split(b"\0")}
    assert cli.json("daemon", "stop") == {"stopped": True}
    assert not names & {*MARKS}


def test_a_daemon_that_cannot_start_says_why_in_one_line(cli: Cli, tmp_path: Path) -> None:
    cli.env["TRAINQ_HOME"] = str(tmp_path / "other")
    cli.env["TRAINQ_CONFIG"] = str(tmp_path / "bad.toml")
    (tmp_path / "bad.toml").write_text("[queue]\ncolour = 1\n", encoding="utf-8")
    failed = cli("submit", "--clean-env", "--", "true")
    assert failed.returncode == 3
    assert "colour" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1


def test_every_command_has_help() -> None:
    for name in COMMANDS:
        helped = CliRunner().invoke(group, [name, "-h"])
        assert helped.exit_code == 0, name
        assert "--json" in helped.stdout or name in {"daemon", "completion", "top"}, name
        assert max(map(len, helped.stdout.splitlines())) <= 80, name
