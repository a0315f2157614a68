"""Completion in real shells: commands, options, ids, names, groups, tags; in time whatever the daemon does."""

from __future__ import annotations

import os
import shutil
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from commands import Terminal
from support import wait_until

from trainqueue.client import TIMEOUT

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from commands import Cli
    from support import Daemon

    from trainqueue.client import Client


def words(cli: Cli, line: str) -> list[str]:
    """What bash would be offered for the last word of this line."""
    asked = asked_for(cli, line)
    lines = asked.stdout.splitlines()
    assert asked.stderr == ""
    return [line.partition(",")[2] for line in lines if line]


def asked_for(cli: Cli, line: str) -> subprocess.CompletedProcess[str]:
    before = {**cli.env}
    cli.env |= {
        "_TRAINQ_CLI_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    try:
        return cli()
    finally:
        cli.env = before


def is_told(cli: Cli, line: str, wanted: str) -> bool:
    return asked_for(cli, line).stdout == wanted


def offers(cli: Cli, line: str, wanted: list[str]) -> None:
    """A busy machine may need a second try: the time is short."""
    wait_until(lambda: words(cli, line) == wanted, 20)


@pytest.fixture
def jobs(client: Client) -> None:
    """1 and 12 wait, 2 has been cancelled."""
    held = {"command": ["true"], "cwd": "/", "hold": True}
    client.submit(
        [held | {"name": "lr-1", "group": "sweep", "tags": {"set": "a"}}, *[held] * 10, held | {"name": "x y"}]
    )
    client.cancel([*range(2, 12)])


@pytest.mark.usefixtures("jobs")
def test_what_is_offered(cli: Cli) -> None:
    offers(cli, "trainq-cli ca", ["cancel"])
    offers(cli, "trainq-cli cancel --fo", ["--force"])
    offers(cli, "trainq-cli cancel ", ["12", "1"])
    offers(cli, "trainq-cli retry 1", ["11", "10"])
    offers(cli, "trainq-cli cancel 3,5-1", ["3,5-12", "3,5-1"])
    offers(cli, "trainq-cli hold --name l", ["lr-1"])
    offers(cli, "trainq-cli hold --group ", ["sweep"])
    offers(cli, "trainq-cli hold --tag s", ["set=a"])
    offers(cli, "trainq-cli hold --lane d", ["default"])
    offers(cli, "trainq-cli queue --state r", ["running"])


@pytest.mark.usefixtures("jobs")
def test_in_time_and_silent_whatever_the_daemon_does(cli: Cli, daemon: Daemon) -> None:
    assert daemon.process is not None
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert words(cli, "trainq-cli cancel ") == []
        took = time.monotonic() - began
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    assert took < TIMEOUT / 2  # 0.3 where the machine has nothing else to do; a command would wait for all of it


def test_no_daemon_at_all(cli: Cli, tmp_path: Path) -> None:
    cli.env["TRAINQ_HOME"] = str(tmp_path / "nobody")
    assert words(cli, "trainq-cli cancel ") == []
    assert words(cli, "trainq-cli hold --name ") == []


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_real_shell(cli: Cli, tmp_path: Path, shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    script = cli("completion", shell).stdout
    assert script.startswith("# To install: ")
    launcher = tmp_path / "bin" / "trainq-cli"
    launcher.parent.mkdir()
    launcher.write_text(f'#!/bin/sh\nexec {cli.prefix[0]} -m trainqueue.cli "$@"\n', encoding="utf-8")
    launcher.chmod(0o755)
    (tmp_path / "script").write_text(script, encoding="utf-8")
    env = cli.env | {"PATH": f"{launcher.parent}:{cli.env['PATH']}", "HOME": str(tmp_path), "TERM": "dumb"}
    quiet = {"bash": ["--norc", "-i"], "zsh": ["-f", "-i"], "fish": ["--no-config", "-i"]}[shell]
    with Terminal([program, *quiet], env, 200) as terminal:
        load = "autoload -Uz compinit; compinit -u; " if shell == "zsh" else ""
        terminal.type(f"{load}source {tmp_path}/script; echo rea''dy\n")
        terminal.expect("ready")
        terminal.type("trainq-cli hist\t-h\n")
        terminal.expect("Ended jobs, newest first")
        found = ""
        for _ in range(10):  # a busy machine may need several tries: the time of one is short
            terminal.type("trainq-cli queue --grou\tsw\t\n")
            if (found := terminal.expect("lr-1", "no job matches")) == "lr-1":
                break
            terminal.forget()
        assert found == "lr-1"
        terminal.type("exit\n")


@pytest.mark.usefixtures("jobs")
def test_files_and_folders_are_left_to_the_shell_and_what_jobs_have_is_offered(cli: Cli) -> None:
    for line, kind in {
        "trainq-cli submit tra": "file",
        "trainq-cli submit -- python tra": "file",
        "trainq-cli submit --gpus 1 python tra": "file",
        "trainq-cli run --cwd tra": "dir",
    }.items():
        told = f"{kind},{line.split()[-1]}\n"
        wait_until(partial(is_told, cli, line, told), 20)
    offers(cli, "trainq-cli submit --after-group sw", ["sweep"])
    offers(cli, "trainq-cli submit --lane d", ["default"])
