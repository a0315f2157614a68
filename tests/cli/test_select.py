"""Selecting jobs for every verb: ids, ranges, names, tags, groups, states; and the question before much is lost."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click
import pytest
from commands import Terminal
from support import wait_until

from trainqueue.cli.bulk import CANCEL, picked
from trainqueue.cli.select import Selection, selecting

if TYPE_CHECKING:
    from commands import Cli

    from trainqueue.client import Client

HELD = {"command": ["true"], "cwd": "/", "hold": True}


@pytest.fixture(autouse=True)
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else no two jobs of the daemon run at a time."""
    monkeypatch.setenv("TRAINQ_FAKE_GPUS", "4x24GiB")


@pytest.fixture
def jobs(client: Client) -> None:
    """1 to 6 are held, 7 has completed, 8 failed, 9 runs."""
    client.submit(
        [
            {**HELD, "name": "lr-1", "group": "sweep", "tags": {"set": "a", "seed": "1"}},
            {**HELD, "name": "lr-2", "group": "sweep", "tags": {"set": "b", "seed": "1"}},
            {**HELD, "name": "lr-[3]", "group": "other", "tags": {"set": "a", "seed": "2"}},
            {**HELD, "name": "plain"},
            {**HELD, "name": "plain"},
            {**HELD, "name": "last", "priority": "high"},
            {"command": ["true"], "cwd": "/", "name": "lr-7", "group": "sweep"},
            {"command": ["false"], "cwd": "/", "name": "lr-8", "group": "sweep"},
            {"command": ["sleep", "60"], "cwd": "/", "name": "long"},
        ]
    )
    client.wait([7, 8], 20)


SELECTED = {
    "--all": [1, 2, 3, 4, 5, 6, 9],
    "--mine": [1, 2, 3, 4, 5, 6, 9],
    "--name lr-*": [1, 2, 3],
    "--name lr-[3]": [3],
    "--name lr-[12]": [1, 2],
    "--name plain": [4, 5],
    "--tag set=a": [1, 3],
    "--tag set=a --tag seed=2": [3],
    "--group sweep": [1, 2],
    "--group sweep --tag set=b": [2],
    "--lane default --name pl*": [4, 5],
    "--lane nowhere": [],
    "--state running": [9],
    "--state queued --state running --name l*": [1, 2, 3, 6, 9],
    "2-5 --name lr-*": [2, 3],
    "5,1 --all": [5, 1],
    "7-9 --group sweep": [],
}


@click.command()
@selecting()
def selection(which: Selection) -> Selection:
    return which


@pytest.mark.usefixtures("jobs")
def test_filters_select_what_can_be_cancelled(client: Client) -> None:
    for words, ids in SELECTED.items():
        which: Selection = selection.main(words.split(), standalone_mode=False)
        assert picked(client, CANCEL, which) == ids, words


@pytest.mark.usefixtures("jobs")
def test_each_verb_takes_what_it_can_act_on(cli: Cli) -> None:
    assert cli("release", "--name", "plain").stdout.split() == ["4", "pending", "5", "pending"]
    assert cli("release", "--name", "lr-1", "--state", "queued").stdout.split()[0] == "1"
    assert cli("retry", "--group", "sweep", "--state", "failed").stdout.split()[::2] == ["8"]
    assert cli.json("wait", "--group", "other", "--timeout", "0")["id"] == 3
    assert [job["id"] for job in cli.json("status", "--name", "lr-*")] == [1, 2, 3, 7, 8]
    assert [job["id"] for job in cli.json("queue", "--name", "lo*")["running"]] == [9]
    assert [job["id"] for job in cli.json("queue", "--group", "other")["queued"]] == [3]
    assert cli("cancel", "--all").returncode == 0


def test_history_looks_page_by_page(cli: Cli, client: Client) -> None:
    client.submit([{"command": ["true"], "cwd": "/", "name": f"{'ab'[at % 2]}-{at}", "hold": True} for at in range(20)])
    client.cancel([*range(1, 21)])
    page = cli.json("history", "--name", "b-*", "-n", "3")
    assert ([job["id"] for job in page["jobs"]], page["more"]) == ([20, 18, 16], True)
    page = cli.json("history", "--name", "b-*", "-n", "3", "--before", "6")
    assert ([job["id"] for job in page["jobs"]], page["more"]) == ([4, 2], False)


def test_several_running_jobs_are_asked_about_on_a_terminal(cli: Cli, client: Client) -> None:
    client.submit([{"command": ["sleep", "60"], "cwd": "/"}] * 3)
    wait_until(lambda: len(client.queue()["running"]) == 3)
    for words, asked in (("1-3", "cancel 3 running jobs (1, 2, 3)?"), ("--all --force", "cancel 3 running jobs")):
        with Terminal([*cli.prefix, "cancel", *words.split()], cli.env) as terminal:
            terminal.expect(asked)
            terminal.type("n\n")
            assert "nothing was changed" in terminal.rest()
        assert terminal.process.returncode == 1
    assert len(client.queue()["running"]) == 3
    with Terminal([*cli.prefix, "cancel", "2"], cli.env) as terminal:
        assert "cancel" not in terminal.rest()  # a single one is meant
    with Terminal([*cli.prefix, "cancel", "1,3"], cli.env) as terminal:
        terminal.expect("cancel 2 running jobs (1, 3)?")
        terminal.type("y\n")
        terminal.rest()
    assert {job.state for job in client.wait([1, 2, 3], 20)} == {"cancelled"}


def test_yes_and_pipes_are_not_asked(cli: Cli, client: Client) -> None:
    client.submit([{"command": ["sleep", "60"], "cwd": "/"}] * 4)
    assert cli("cancel", "1-2").returncode == 0
    assert "running jobs" not in cli.on_a_terminal("cancel", "3-4", "--yes")
    assert {job.state for job in client.wait([1, 2, 3, 4], 20)} == {"cancelled"}


def test_ten_thousand_answers(cli: Cli, client: Client) -> None:
    client.submit([HELD] * 10_000)
    began = time.monotonic()
    answers = cli("cancel", "--state", "queued").stdout.splitlines()
    assert answers == [f"{job}\tcancelled" for job in range(1, 10_001)]
    assert time.monotonic() - began < 10


def test_nothing_selected(cli: Cli) -> None:
    cli("submit", "--hold", "--", "true")
    empty = cli("cancel", "--name", "nobody-*")
    assert (empty.returncode, empty.stdout, empty.stderr) == (0, "", "trainq-cli: no such job; nothing was changed\n")
    assert json.loads(cli("hold", "--group", "g", "--json").stdout) == []
    assert cli("cancel", "77").returncode == 4
    assert cli("wait", "--group", "g").returncode == 0
    assert "no such job" in cli("status", "--group", "g").stderr
    unsaid = cli("cancel")
    assert (unsaid.returncode, "which jobs?" in unsaid.stderr) == (2, True)
    never = cli("hold", "--state", "failed")
    assert never.returncode == 2
    assert "this is for jobs that are queued, and --state says failed" in never.stderr
    assert "'7-3' ends before it starts" in cli("release", "7-3").stderr
    assert cli.json("status", "1")["state"] == "queued"
