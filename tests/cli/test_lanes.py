"""`trainq-cli lane`, `--lane`, `--max-running`, and what the views say of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commands import Cli

HELD = ("--hold", "--", "true")


def test_a_lane_is_made_changed_shown_and_removed(cli: Cli) -> None:
    made = cli("lane", "debug", "--gpus", "1")
    assert made.stdout.splitlines()[1] == "debug\t0 of 1\t0\t0\topen"
    assert made.stderr == "trainq-cli: lane debug is new\n"
    assert cli("lane", "debug").stderr == cli("lane", "debug", "--gpus", "1").stderr == ""
    assert cli("lane", "debug", "--pause").stdout.splitlines()[1] == "debug\t0 of 1\t0\t0\tPAUSED"
    assert cli("lane", "debug", "--gpus", "none", "--resume").stdout.splitlines()[1] == "debug\t0\t0\t0\topen"
    assert [line.split("\t")[0] for line in cli("lane").stdout.splitlines()] == ["LANE", "default", "debug"]
    assert cli.json("lane", "debug")["lane"]["from_settings"] is False
    assert cli("submit", "--lane", "debug", *HELD).returncode == 0
    refused = cli("lane", "debug", "--remove")
    assert (refused.returncode, refused.stderr) == (1, "trainq-cli: 1 job waits and 0 run in lane debug\n")
    cli("cancel", "1")
    assert cli("lane", "debug", "--remove").stdout == "debug\tremoved\n"
    assert [lane["name"] for lane in cli.json("lane")["lanes"]] == ["default"]
    told = [line.split("\t")[2] for line in cli("events").stdout.splitlines() if "lane" in line]
    assert told == [
        "lane debug open, at most 1 GPU",
        "lane debug paused, at most 1 GPU",
        "lane debug open",
        "lane debug removed",
    ]


def test_a_paused_lane_is_said_in_every_view(cli: Cli) -> None:
    cli("lane", "night", "--pause")
    since = re.search(r"Lane night is PAUSED( since \d\d \w+ [\d:]+): nothing starts in it\.", cli("queue").stderr)
    assert since is not None
    assert cli("submit", "--lane", "night", "--", "true").returncode == 0
    waits = "1 job waits in it, and nothing starts. trainq-cli lane night --resume ends it."
    sentence = f"Lane night is PAUSED{since[1]}: {waits}"
    for view in (("status",), ("queue",), ("queue", "--lane", "night")):
        shown = cli(*view)
        assert sentence in shown.stderr
        assert "lane night is paused; `trainq-cli lane night --resume` goes on" in shown.stdout
    assert "lane night is paused" in cli.on_a_terminal("submit", "--lane", "night", "--", "true", columns=200)
    assert "PAUSED" in cli.on_a_terminal("status", columns=200)
    told = cli("submit", "--lane", "night", "--", "true").stderr
    assert sentence.replace("1 job waits", "3 jobs wait") in told
    assert "Lane night is PAUSED" in cli("wait", "1", "--timeout", "0").stderr
    assert "Lane night is PAUSED" in cli("submit", "--array", "1-2", "--lane", "night", "--", "true").stderr
    assert cli("submit", *HELD).stderr == ""
    cli("lane", "night", "--resume")
    assert "PAUSED" not in cli("status").stderr


def test_the_lane_and_the_bound_of_a_job(cli: Cli) -> None:
    cli("lane", "debug", "--gpus", "none")
    cli("submit", "--lane", "debug", "--group", "sweep", "--max-running", "2", *HELD)
    job = cli.json("status", "1")
    assert (job["lane"], job["group"], job["max_running"]) == ("debug", "sweep", 2)
    assert cli("edit", "1", "--set", "max_running=3", "--set", "lane=default").returncode == 0
    job = cli.json("status", "1")
    assert (job["lane"], job["max_running"]) == ("default", 3)
    cli("submit", *HELD)
    assert [job["id"] for job in cli.json("queue", "--lane", "default")["queued"]] == [1, 2]
    assert cli.json("queue", "--lane", "debug")["queued"] == []


def test_the_bound_of_a_sweep(cli: Cli) -> None:
    made = cli.json("submit", "--array", "0-3", "--max-running", "1", "--", "sleep", "100")
    assert [job["position"] for job in made[1:]] == [None] * 3
    job = cli.json("status", str(made[3]["id"]))
    assert job["why"].endswith(
        "of group " + job["group"] + " run, which is its max_running; 2 of it are before this one"
    )
    cli("cancel", "--all", "--force")


WRONG = {
    ("lane", "--pause"): (2, "which lane?"),
    ("lane", "a", "--pause", "--resume"): (2, "exclude each other"),
    ("lane", "a", "--remove", "--gpus", "1"): (2, "exclude"),
    ("lane", "a", "--gpus", "0"): (2, "1 to 1024, or none"),
    ("lane", "two words"): (2, "'two words' is no name of a lane: it has letters, digits and . _ : + - alone"),
    ("lane", "", "--gpus", "1"): (2, "'' is no name of a lane"),
    ("lane", "debug\n", "--gpus", "1"): (2, "is no name of a lane"),
    ("submit", "--lane", "two words", "--", "true"): (2, "'two words' is no name of a lane"),
    ("lane", "dbug"): (4, "there is no lane dbug; there are: default. trainq-cli lane dbug --gpus N makes one"),
    ("lane", "dbug", "--resume"): (4, "there is no lane dbug"),
    ("lane", "gone", "--remove"): (4, "there is no lane gone"),
    ("submit", "--lane", "dbug", "--", "true"): (4, "there is no lane dbug; there are: default"),
    ("submit", "--max-running", "2", "--", "true"): (2, "--max-running is of a group"),
}


def test_what_is_wrong_is_said(cli: Cli) -> None:
    for words, (code, sentence) in WRONG.items():
        found = cli(*words)
        assert (found.returncode, sentence in found.stderr) == (code, True), found.stderr
    assert [lane["name"] for lane in cli.json("lane")["lanes"]] == ["default"]
