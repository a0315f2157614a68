"""Jobs that wait for others, as people say it and see it: options, `why`, edits, `queue --tree`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from support import wait_until

from trainqueue.cli.tree import Tree
from trainqueue.client import Client

if TYPE_CHECKING:
    from commands import Cli
    from support import Daemon


def submit(cli: Cli, *words: str) -> str:
    made = cli("submit", "--gpus", "0", *words)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def until_ended(daemon: Daemon, *jobs: str) -> None:
    with Client(daemon.home) as client:
        client.wait([int(job) for job in jobs], 20)


def test_each_option_reaches_the_daemon_and_says_how_it_went(cli: Cli, daemon: Daemon) -> None:
    held = submit(cli, "--hold", "--", "false")
    asked = {"--after": "cancelled", "--after-any": "completed", "--after-failed": "completed"}
    jobs = {submit(cli, option, held, "--", "true"): state for option, state in asked.items()}
    for job in jobs:
        assert cli.json("status", job)["why"] == f"waits for job {held}"
    assert cli("release", held).returncode == 0
    until_ended(daemon, held, *jobs)
    assert {job: cli.json("status", job)["state"] for job in jobs} == jobs
    let_down = cli.json("status", next(iter(jobs)))
    assert (let_down["cause"], let_down["message"]) == ("dependency", f"job {held} did not complete: it ended failed")


def test_a_group_and_a_kept_job(cli: Cli, daemon: Daemon) -> None:
    bad, good = (
        submit(cli, "--hold", "--group", "g", "--", "false"),
        submit(cli, "--hold", "--group", "g", "--", "true"),
    )
    job = submit(cli, "--after-group", "g", "--keep", "--", "true")
    assert cli.json("status", job)["why"] == "waits for 2 jobs of group g"
    cli("release", bad)
    until_ended(daemon, bad)
    wait_until(lambda: cli.json("status", job)["why_code"] == "held")
    why = f"job {bad} did not complete: it ended failed; held: release starts it anyway, edit changes what it waits for"
    assert cli.json("status", job)["why"] == why
    cli("release", job)
    assert cli.json("status", job)["why"] == "waits for 1 job of group g"
    cli("release", good)
    until_ended(daemon, good, job)
    assert cli.json("status", job)["state"] == "completed"


def test_what_a_job_waits_for_is_edited(cli: Cli) -> None:
    first, second = submit(cli, "--hold", "--group", "g", "--", "true"), submit(cli, "--hold", "--", "true")
    job = submit(cli, "--after", first, "--", "true")
    cli("pause")
    for change, why in (
        (f"after={second}", f"waits for job {second}"),
        ("after=", "the queue is paused: nothing starts until it is resumed"),
        (f"after_failed={first}-{second}", f"waits for job {first}, job {second}"),
        ("after_group=g", f"waits for job {first}, job {second}, 1 job of group g"),
    ):
        edited = cli("edit", job, "--set", change)
        assert edited.returncode == 0, edited.stderr
        assert cli.json("status", job)["why"] == why
    cycle = cli("edit", first, "--set", f"after={job}")
    assert (cycle.returncode, f"job {first} would wait for itself: {first} -> {job} -> {first}" in cycle.stderr) == (
        1,
        True,
    )


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--after-failed", "77"], 4, "--after-failed: there is no job 77"),
        (["--after-group", "none"], 4, "--after-group: there is no job of a group 'none'"),
        (["--keep"], 2, "--keep is for a job that waits for others"),
        (["--after-failed", "7-3"], 2, "'7-3' ends before it starts"),
    ],
)
def test_what_cannot_be_waited_for_is_refused(cli: Cli, words: list[str], code: int, says: str) -> None:
    refused = cli("submit", *words, "--", "true")
    assert refused.returncode == code
    assert says in refused.stderr
    assert cli.json("queue")["queued"] == []


# -- the tree


def test_the_tree(cli: Cli) -> None:
    submit(cli, "--hold", "--name", "prepare", "--", "true")
    submit(cli, "--after", "1", "--name", "left", "--group", "sides", "--", "true")
    submit(cli, "--after", "1", "--name", "right", "--group", "sides", "--", "true")
    submit(cli, "--after", "2,3", "--name", "both", "--", "true")
    submit(cli, "--after-group", "sides", "--name", "all", "--", "true")
    lines = [line.split("\t") for line in cli("queue", "--tree").stdout.splitlines()]
    assert lines == [
        ["JOB", "STATE", "NAME", "WHY"],
        ["1", "queued", "prepare", "held until it is released"],
        ["├─ 2", "queued", "left", "waits for job 1"],
        ["│  └─ 4", "queued", "both", "waits for job 2, job 3"],
        ["└─ 3", "queued", "right", "waits for job 1"],
        ["   └─ 4", "", "both (see above)", ""],
        ["group sides", "", "2 jobs of it: 2, 3", ""],
        ["└─ 5", "queued", "all", "waits for 2 jobs of group sides"],
    ]
    assert [job["id"] for job in cli.json("queue", "--tree")["queued"]] == [1, 2, 3, 4, 5]


def test_ended_jobs_are_said(cli: Cli, daemon: Daemon) -> None:
    first = submit(cli, "--", "true")
    until_ended(daemon, first)
    submit(cli, "--hold", "--after", first, "--", "true")
    line = cli("queue", "--tree").stdout.splitlines()[1]
    assert line == "2\tqueued\ttrue\theld until it is released; after job 1, which has ended"


def job(number: int, *waits_for: int, **fields: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "group": None,
        "waits_for_groups": [],
        "after_any": [],
        "after_failed": [],
        "stopping": False,
        "why": "",
    }
    return {**plain, "id": number, "name": "n", "state": "queued", "waits_for": waits_for, "after": waits_for, **fields}


def test_ten_thousand_jobs_take_less_than_a_second() -> None:
    """In a chain, in a fan, and behind a group of ten thousand."""
    chain = [job(at, *([at - 1] if at > 1 else [])) for at in range(1, 10_001)]
    fan = [job(1), *(job(at, 1) for at in range(2, 5001)), *(job(at, at - 5000, 1) for at in range(5002, 10_001))]
    members = [job(at, group="g") for at in range(1, 5001)]
    grouped = [*members, *(job(at, waits_for_groups=["g"]) for at in range(5001, 10_001))]
    for jobs, lines in ((chain, 10_000), (fan, len(fan) + 4999), (grouped, 10_001)):
        began = time.process_time()
        rows = [*Tree(jobs).rows()]
        assert time.process_time() - began < 1.0
        assert len(rows) == lines
        assert max(len(row[0]) for row in rows) < 60
    assert [*Tree(chain).rows()][5000][0].startswith("[5000] ")


def test_who_falls_with_another_that_is_cancelled_is_no_refusal(cli: Cli) -> None:
    """Also where the other went with an earlier message."""
    first = int(submit(cli, "--hold", "--", "true"))
    last = submit(cli, "--after", str(first), "--array", "1-1002", "--", "true").split()[-1]
    done = cli("cancel", f"{first}-{last}")
    assert (done.returncode, done.stderr) == (0, "")
    assert {line.split("\t")[1] for line in done.stdout.splitlines()} == {"cancelled"}
    again = cli("cancel", last)
    assert (again.returncode, again.stderr) == (1, f"trainq-cli: job {last} has ended already (cancelled)\n")
