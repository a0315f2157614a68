"""`--json` everywhere: one document, or one a line where a command streams; the wire's names; nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from trainqueue.jobinfo import ENDED

if TYPE_CHECKING:
    from commands import Cli
    from support import Daemon

    from trainqueue.client import Client

ANSWERS: dict[str, set[str]] = {
    "submit -- true": {"id", "state", "position"},
    "status": {"running", "queued", "counts", "gpus", "paused"},
    "status 1": {"id", "state", "retries", "umask"},
    "queue": {"running", "queued"},
    "history": {"jobs", "more"},
    "gpus": {"gpus"},
    "stats": {"counts", "gpu_seconds_used"},
    "wait 1": {"id", "state", "retries", "umask"},
    "move 2 --front": {"id", "position"},
    "edit 2 --set name=other": {"id", "name"},
    "pause": {"paused", "draining"},
    "resume": {"paused", "draining"},
    "logs 1": {"data", "attempt", "next", "eof"},
    "logs -f 1": {"data", "attempt", "next", "eof"},
    "daemon start": {"pid", "version"},
    "daemon status": {"pid", "version"},
    "daemon stop": {"stopped"},
}
LISTS: dict[str, set[str]] = {
    "status 1-2": {"id", "state"},
    "wait 1,3": {"id", "state"},
    "cancel 2": {"id", "ok", "state", "error"},
    "hold 4": {"id", "ok", "state", "error"},
    "release 4": {"id", "ok", "state", "error"},
    "retry 1": {"id", "ok", "state", "error"},
    "doctor": {"check", "result", "what", "advice"},
}


@pytest.fixture
def jobs(client: Client) -> None:
    """1 and 3 have ended, 2 and 4 are held."""
    spec = {"command": ["echo", "hello"], "cwd": "/"}
    client.submit([spec, {**spec, "hold": True}, spec, {**spec, "hold": True}])
    client.wait([1, 3], 20)


@pytest.mark.usefixtures("jobs")
def test_one_document(cli: Cli, daemon: Daemon) -> None:
    """In the order in which they stand, and none is in the way of those that follow."""
    for command, names in ANSWERS.items():
        assert cli.json(*command.split()).keys() >= names, command
    assert daemon.process is not None
    assert daemon.process.wait(20) == 0


@pytest.mark.usefixtures("jobs")
def test_a_list(cli: Cli) -> None:
    for command, names in LISTS.items():
        found = cli.json(*command.split())
        assert found, command
        assert all(entry.keys() >= names for entry in found), command


@pytest.mark.usefixtures("jobs")
def test_a_job_is_the_same_wherever_it_is_shown(cli: Cli) -> None:
    full = cli.json("status", "1")
    assert [one["attempt"] for one in full.pop("attempts")] == [1]
    assert (full.pop("changed_files"), full.pop("series")) == (None, {})
    assert cli.json("wait", "1") == full


def test_events_are_one_a_line(cli: Cli) -> None:
    cli("run", "--", "true")
    events = cli.documents("events")
    assert [event["seq"] for event in events] == [*range(1, len(events) + 1)]


def test_run_prints_nothing_but_documents(cli: Cli) -> None:
    first, *parts, last = cli.documents("run", "--", "sh", "-c", "echo one; sleep 0.3; echo two; exit 3")
    assert first.keys() == {"id", "state", "position"}
    assert "".join(part["data"] for part in parts) == "one\ntwo\n"
    assert (last["state"], last["exit_code"], last["state"] in ENDED) == ("failed", 3, True)


def test_a_character_that_lies_in_two_parts_is_whole(cli: Cli) -> None:
    text = "x" + "ü" * 200_000
    cli("run", "--", "python3", "-c", "print('x' + '\\u00fc' * 200_000)")
    for command in (["logs"], ["logs", "-f"]):
        parts = cli.documents(*command, "1")
        assert len(parts) > 1
        assert "".join(part["data"] for part in parts) == text + "\n"


def test_a_refusal_prints_no_document(cli: Cli) -> None:
    refused = cli("cancel", "--json", "99")
    assert (refused.returncode, json.loads(refused.stdout)[0]["ok"]) == (4, False)
    assert cli("status", "--json", "99").stdout == ""
