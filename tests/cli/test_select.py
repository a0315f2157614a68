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
    wait_until(lambda: client.status(9).state == "running")


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
    assert cli("cancel", "77").returncode == 4
    assert cli.json("status", "1")["state"] == "queued"
    unsaid = cli("cancel")
    assert (unsaid.returncode, "which jobs?" in unsaid.stderr) == (2, True)
    never = cli("hold", "--state", "failed")
    assert never.returncode == 2
    assert "this is for jobs that are queued, and --state says failed" in never.stderr
    assert "'7-3' ends before it starts" in cli("release", "7-3").stderr


VERBS = {
    "cancel": (),
    "hold": (),
    "release": (),
    "retry": (),
    "suspend": (),
    "continue": (),
    "preempt": (),
    "move": ("--front",),
    "edit": ("--set", "gpus=2"),
    "signal": ("USR1",),
    "wait": (),
    "status": (),
}


def test_a_description_that_no_job_has_is_no_such_job(cli: Cli) -> None:
    words = ["--name", "typo", "--tag", "a=b", "--group", "it's"]
    for verb, more in VERBS.items():
        done = cli(verb, *words, *more)
        assert (done.returncode, done.stdout) == (4, ""), verb
        said = done.stderr.removesuffix("; nothing was changed\n").strip()
        assert said == """trainq-cli: no job matches --name 'typo' --tag 'a=b' --group "it's\"""", verb
    assert json.loads(cli("hold", "--json", *words).stdout) == []
    assert json.loads(cli("status", "--json", *words).stdout) == []


@pytest.mark.usefixtures("jobs")
def test_what_else_matches_is_said(cli: Cli) -> None:
    done = cli("hold", "--name", "lr-[78]")
    assert done.returncode == 4
    waits = "no job that waits matches --name 'lr-[78]'; 2 others do: 7 completed, 8 failed; nothing was changed"
    assert done.stderr == f"trainq-cli: {waits}\n"
    done = cli("cancel", "7-9", "--group", "sweep")
    assert done.stderr.startswith("trainq-cli: no job that waits or runs matches 7-9 --group 'sweep'; 2 others do: 7 ")
    done = cli("retry", "--name", "last")
    assert "no job that has ended matches --name 'last'; 1 other does: 6 queued" in done.stderr
    done = cli("wait", "--name", "lr-7", "--state", "failed", "--state", "lost")
    assert (done.returncode, "that is failed or lost matches" in done.stderr) == (4, True)


def test_all_and_mine_may_be_nothing(cli: Cli) -> None:
    for words in (
        "cancel --all",
        "hold --all",
        "retry --state failed",
        "wait --mine",
        "status --all",
        "signal --all 9",
    ):
        done = cli(*words.split())
        assert (done.returncode, done.stdout, "no job" in done.stderr) == (0, "", True), words
    assert cli("cancel", "--mine").stderr == "trainq-cli: no job of yours that waits or runs; nothing was changed\n"


@pytest.mark.usefixtures("jobs")
def test_what_is_so_already_is_said_and_no_error(cli: Cli) -> None:
    done = cli("hold", "--name", "lr-*")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "trainq-cli: 3 jobs match, all are held already\n"
    assert cli("hold", "--name", "last").stderr == "trainq-cli: 1 job matches, and it is held already\n"
    assert [answer["changed"] for answer in cli.json("hold", "--name", "lr-*")] == [False] * 3
    assert cli("hold", "4").stdout == "4\theld already\n"
    cli("pause")
    assert cli("release", "4-5").stdout == "4\tqueued (position: 1)\n5\tqueued (position: 2)\n"
    again = cli("release", "--name", "pl*")
    assert again.stderr == "trainq-cli: 2 jobs match, all are queued already\n"
    mixed = cli("hold", "1-4", "--all")
    assert (mixed.stdout, mixed.stderr) == ("4\theld\n", "trainq-cli: 3 more are held already\n")
    assert cli("move", "4,5", "--front").stdout == "4\tqueued\n5\tqueued (position: 1)\n"


def test_doing_it_again_writes_nothing(cli: Cli, client: Client) -> None:
    client.submit([HELD])
    client.submit([{"command": ["true"], "cwd": "/", "after": [1]}])
    last = client.events(0)["last"]
    for answer in (*client.hold([1]), *client.release([2])):
        assert (answer["ok"], answer["changed"], answer["state"]) == (True, False, "queued")
    assert client.events(0)["last"] == last
    assert cli("continue", "--all").returncode == 0


def test_ids_that_are_not_there_are_one_sentence_and_one_rule(cli: Cli, client: Client) -> None:
    client.call("pause")
    client.submit([{"command": ["true"], "cwd": "/"}, HELD, HELD])
    done = cli("hold", "2-100001")
    assert (done.returncode, done.stdout.split()) == (4, ["2", "held", "already", "3", "held", "already"])
    assert done.stderr == "trainq-cli: no such jobs: 4-100001 (99,998)\n"
    for verb, *more in (("hold",), ("release",), ("move", "--front"), ("edit", "--set", "name=x"), ("cancel",)):
        one = cli(verb, "2,99", *more)
        assert (one.returncode, one.stderr) == (4, "trainq-cli: there is no job 99\n"), verb
    assert cli("release", "2,98-99,101").stderr.endswith("no such jobs: 98-99, 101 (3)\n"), "2 has ended: refused, too"
    for words in ("cancel 2,99", "signal 2,99 USR1", "wait 2,99", "status 2,99", "retry --copy 2,99"):
        assert cli(*words.split()).returncode == 4, words
    assert cli("cancel", "2,3").returncode == 1, "both are there, and one has ended"


def test_a_job_that_is_being_stopped_is_left_out(cli: Cli, client: Client) -> None:
    client.submit([{"command": ["sh", "-c", "trap '' TERM; echo deaf; sleep 60"], "cwd": "/", "grace": 60.0}])
    wait_until(lambda: client.log(1)["data"] == b"deaf\n", 20)
    assert cli("cancel", "1").stdout == "1\tstopping\n"
    assert cli("cancel", "1").stdout == "1\tstopping already\n"
    assert cli("suspend", "--all").returncode == 0
    assert cli("suspend", "1").returncode == 1
    client.cancel([1], force=True)


def test_a_view_of_nothing(cli: Cli) -> None:
    assert "Nothing waits and nothing runs." in cli.on_a_terminal("queue")
    assert "no job matches --name 'typo'" in cli.on_a_terminal("queue", "--name", "typo")
    empty = cli("queue")
    assert (empty.returncode, empty.stdout.count("\n"), empty.stdout[:2]) == (0, 1, "ID")


@pytest.mark.parametrize("option", ["--name", "--group", "--lane"])
def test_a_filter_that_is_given_twice_is_refused(cli: Cli, option: str) -> None:
    refused = cli("cancel", option, "a", option, "b")
    assert (refused.returncode, f"{option} is given 2 times" in refused.stderr) == (2, True)
