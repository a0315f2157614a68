"""trainq-cli as people and scripts use it: real processes, in a pipe and on a terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from commands import Terminal

from trainqueue.cli.events import happened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from commands import Cli
    from support import Daemon


def test_submit_prints_the_id_alone_in_a_pipe(cli: Cli) -> None:
    assert cli("submit", "--", "sleep", "60").stdout == "1\n"
    assert cli("submit", "--", "true").stdout == "2\n"


def test_submit_shows_the_position_on_a_terminal(cli: Cli) -> None:
    cli("submit", "--", "sleep", "60")
    cli("submit", "--", "true")
    assert "queued (position: 2)" in cli.on_a_terminal("submit", "--", "true")


def test_exit_codes(cli: Cli) -> None:
    assert cli("run", "--", "sh", "-c", "echo out; exit 7").returncode == 7
    assert cli("run", "--", "sh", "-c", "kill -9 $$").returncode == 128 + 9
    assert cli("wait", "1").returncode == 7
    assert cli("wait", "1-2").returncode == 1
    assert cli("wait", "99").returncode == 4
    assert cli("status", "99").returncode == 4
    assert cli("submit").returncode == 2
    assert cli("cancel", "x").returncode == 2
    assert cli("cancel", "1").returncode == 1
    assert cli("cancel", "9-7").returncode == 2
    cli("submit", "--", "sleep", "60")
    assert cli("wait", "--timeout", "0.1", "3").returncode == 124
    late = cli("wait", "--timeout", "0.1", "--json", "3")
    assert (late.returncode, json.loads(late.stdout)["id"]) == (124, 3)


def test_no_daemon_is_three(cli: Cli, tmp_path: Path) -> None:
    cli.env["TRAINQ_HOME"] = str(tmp_path / "nobody")
    gone = cli("status")
    assert gone.returncode == 3
    assert "no daemon serves" in gone.stderr
    assert cli("submit", "--no-start", "--", "true").returncode == 3


def test_the_first_submit_starts_a_daemon(cli: Cli, tmp_path: Path) -> None:
    cli.env["TRAINQ_HOME"] = str(tmp_path / "fresh")
    assert cli("submit", "--", "true").stdout == "1\n"
    assert cli("wait", "1").returncode == 0
    assert cli("daemon", "stop").returncode == 0


def test_logs_whole_tail_and_not_started_yet(cli: Cli) -> None:
    cli("run", "--", "sh", "-c", "seq 1000")
    assert cli("logs", "1").stdout.splitlines() == [str(number) for number in range(1, 1001)]
    assert cli("logs", "-n", "2", "1").stdout == "999\n1000\n"
    assert cli("logs", "-n", "0", "1").stdout == ""
    cli("submit", "--hold", "--", "true")
    waiting = cli("logs", "2")
    assert (waiting.returncode, waiting.stdout) == (0, "")
    assert cli("logs", "3").returncode == 4


def test_logs_follow_a_job_that_has_not_started_yet(cli: Cli) -> None:
    cli("submit", "--hold", "--", "sh", "-c", "echo one; sleep 0.2; echo two")
    follower = subprocess.Popen([*cli.prefix, "logs", "-f", "1"], env=cli.env, stdout=subprocess.PIPE)
    cli("release", "1")
    assert follower.communicate(timeout=20)[0] == b"one\ntwo\n"


def test_tables_are_tab_separated_in_a_pipe(cli: Cli) -> None:
    cli("run", "--name", "first", "--", "true")
    head, row = cli("history").stdout.splitlines()
    assert head.split("\t")[:3] == ["ID", "STATE", "EXIT"]
    assert row.split("\t")[:3] == ["1", "completed", "0"]
    assert "\t" not in cli.on_a_terminal("history")


def test_the_job_lives_in_the_submitters_world(cli: Cli, tmp_path: Path) -> None:
    cli.env["COLOUR"] = "green"
    old = os.umask(0o027)
    try:
        cli("run", "--", "sh", "-c", "umask; pwd; echo $COLOUR $MORE", cwd=tmp_path)
    finally:
        os.umask(old)
    assert cli("logs", "1").stdout.split() == ["0027", str(tmp_path), "green"]
    cli("run", "--env", "MORE=1", "--", "sh", "-c", "echo $MORE")
    assert cli("logs", "2").stdout == "1\n"


def test_secrets_reach_the_job_and_nobody_else(cli: Cli, daemon: Daemon) -> None:
    cli.env["HF_TOKEN"] = "hush-hush"  # noqa: S105
    cli("run", "--", "sh", "-c", "test ${#HF_TOKEN} = 9")
    assert cli("wait", "1").returncode == 0
    shown = cli("status", "1", "--json").stdout + cli("events", "--json").stdout + cli("status", "1").stdout
    assert "hush-hush" not in shown
    assert "hush-hush" not in daemon.home.log.read_text(encoding="utf-8")


def test_a_drain_says_that_the_daemon_leaves_and_that_what_waits_is_safe(cli: Cli) -> None:
    running = cli("submit", "--", "sleep", "100").stdout.strip()
    waiting = cli("submit", "--", "true").stdout.strip()
    cli("drain")
    leaves = "nothing starts, and the daemon exits when the running jobs have ended. trainq-cli resume ends"
    assert f"The queue is DRAINING: {leaves} it." in cli("queue").stderr
    cli("pause")
    said = cli("wait", waiting, "--timeout", "0").stderr
    assert re.search(rf"The queue is PAUSED since .* and DRAINING: {leaves} both\.", said), said
    with subprocess.Popen([*cli.prefix, "wait", waiting], env=cli.env, stderr=subprocess.PIPE, text=True) as follower:
        assert follower.stderr is not None
        assert "DRAINING" in follower.stderr.readline()
        cli("cancel", "--force", running)
        said = follower.stderr.read()
    assert follower.returncode == 3
    assert (
        "It was stopped, or has drained. What runs runs on, and what waits is safe on disk; waiting up to 5 s" in said
    )
    assert said.splitlines()[-1].endswith("start one with: trainq-cli daemon start")


def test_a_list_that_is_cut_says_so(cli: Cli) -> None:
    cli("submit", "--array", "1-4", "--hold", "--group", "g", "--", "true")
    for words in ("queue -n 3", "queue --tree -n 3", "queue --tree -n 3 --group g"):
        assert cli(*words.split()).stderr == "trainq-cli: 1 more waits; -n N shows so many\n", words
    assert "2 more wait" in cli("queue", "-n", "2", "--group", "g").stderr
    for words in ("queue", "queue -n 4", "queue --tree", "queue -n 4 --group g", "queue -n 3 --json"):
        assert cli(*words.split()).stderr == "", words
    assert "matching" not in cli.json("queue", "-n", "3", "--group", "g")


def test_paused_is_impossible_to_miss(cli: Cli) -> None:
    assert cli("submit", "--hold", "--", "true").stderr == ""
    cli("cancel", "1")
    cli("run", "--", "true")
    cli("pause")
    views = ["submit -- true", "submit --array 1-2 --name x -- true", "queue", "status", "history", "gpus", "stats"]
    views += ["daemon status"]
    for words in (*views, "events", "wait 2", "wait --timeout 0 3"):
        said = cli(*words.split()).stderr
        assert re.search(
            r"The queue is PAUSED since \d\d \w+ [\d:]+: nothing starts. trainq-cli resume ends it.", said
        ), words
    assert "The queue is PAUSED since" in cli("doctor").stdout
    with Terminal([*cli.prefix, "run", "--", "true"], cli.env) as terminal:
        terminal.expect("The queue is PAUSED")
    assert "PAUSED" in cli.on_a_terminal("submit", "--", "true", columns=200)
    assert cli("stats", "--json").stderr == ""
    cli("cancel", "4-7")
    assert cli("resume").stdout == "resumed\n"
    assert cli("wait", "3").returncode == 0


def test_control_characters_do_not_reach_the_terminal(cli: Cli) -> None:
    cli("submit", "--hold", "--name", "a\x1b[31mb\nc", "--", "true")
    assert "\x1b[31m" not in cli.on_a_terminal("queue")


def test_interrupting_run_in_a_pipe_detaches(cli: Cli) -> None:
    process = subprocess.Popen(
        [*cli.prefix, "run", "--", "sh", "-c", "echo here; sleep 60"],
        env=cli.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    process.send_signal(signal.SIGINT)
    assert b"detached" in process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert '"state": "running"' in cli("status", "1", "--json").stdout


def test_events_of_gpus_and_of_later_daemons_are_told(cli: Cli) -> None:
    assert cli("gpus", "--disable", "cpu:0").returncode == 0
    assert cli("gpus", "--enable", "0").returncode == 0
    assert [line.split("\t")[2] for line in cli("events").stdout.splitlines()] == [
        "cpu:0 disabled",
        "cpu:0 healthy, can be used",
    ]
    sick = {"type": "gpu", "id": "GPU-1", "index": 1, "healthy": False, "enabled": True, "why": "GPU 1 is lost"}
    assert happened(sick) == "GPU 1 unhealthy: is lost"
    assert happened(sick | {"healthy": True, "why": None}) == "GPU 1 healthy, can be used"
    assert happened({"type": "weather", "id": 7}) == "weather"


def test_a_change_that_no_machine_can_meet_is_said_as_for_a_new_job(cli: Cli) -> None:
    cli("gpus", "--disable", "0")
    cli("submit", "--", "true")
    needs = "is queued (needs 99 GPUs, this machine has 1)\n"
    assert cli("submit", "--gpus", "99", "--", "true").stderr == f"trainq-cli: job 2 {needs}"
    changed = cli("edit", "1", "--set", "gpus=99")
    assert (changed.stdout, changed.stderr) == ("1\tqueued: gpus changed\n", f"trainq-cli: job 1 {needs}")
    assert cli("edit", "1", "--set", "gpus=99", "--json").stderr == ""
    assert cli("edit", "1", "--set", "gpus=0").stderr == ""


@pytest.fixture
def follower(cli: Cli) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([*cli.prefix, "events", "-f", "--json"], env=cli.env, stdout=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_events_follow(cli: Cli, follower: subprocess.Popen[bytes]) -> None:
    cli("submit", "--", "true")
    assert follower.stdout is not None
    states: list[str] = []
    out = follower.stdout
    while "completed" not in states:
        states.append(json.loads(out.readline())["state"])
    assert states == ["queued", "pending", "running", "completed"]


def test_doctor_and_help(cli: Cli) -> None:
    assert cli("doctor").returncode == 0
    helped = cli("-h").stdout
    assert all(name in helped for name in ("submit", "status", "doctor"))
    assert "--time-limit" in cli("submit", "-h").stdout
