"""What `submit` and `edit` take, and how wrong usage is refused."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING

import pytest
from commands import Terminal

from trainqueue.cli.forms import Duration, Form, Moment, Priority, Size
from trainqueue.cli.wordforms import Retries

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Cli
    from support import Daemon

    from trainqueue.client import Client

GOOD: list[tuple[Form, str, object]] = [
    (Size(), "8GiB", 8 * 2**30),
    (Size(), "500MB", 500_000_000),
    (Size(), "1.5 gib", 3 * 2**29),
    (Duration(bare=True), "90", 90),
    (Duration(), "0", 0),
    (Size(), "32G", 32 * 2**30),
    (Duration(), "1h30m", 5400),
    (Duration(), "0.5s", 0.5),
    (Priority(), "high", "high"),
    (Priority(), "-7", -7),
    (Retries(), "exit=2,reboot=1,lost=3", {"exit": 2, "reboot": 1, "runner-died": 3}),
]
BAD: list[tuple[Form, str, str]] = [
    (Size(), "8", "has no unit"),
    (Size(), "8GiX", "is no size"),
    (Size(), "-1GiB", "is no size"),
    (Duration(), "1x", "durations look like"),
    (Duration(), "4", "4 what? 4s, 4m or 4h"),
    (Duration(none=False), "0m", "leave it out for no limit"),
    (Duration(), "4000d", "more than ten years"),
    (Duration(), "", "durations look like"),
    (Priority(), "urgent", "low (-100), normal (0), high (100)"),
    (Retries(), "bad-luck=1", "the causes are exit, signal,"),
    (Retries(), "exit", "does not say how often"),
    (Retries(), "exit=-1", "does not say how often"),
    (Moment(), "1999-01-01", "is over already"),
    (Moment(), "25:00", "times look like"),
    (Moment(), "9999-01-01", "too far away"),
    (Moment(), "soon", "times look like"),
    (Moment(), "0001-01-01T00:00", "times look like"),
    (Moment(), "in 0s", "is over already"),
]


@pytest.mark.parametrize(("form", "text", "value"), GOOD, ids=[text for _, text, _ in GOOD])
def test_forms(form: Form, text: str, value: object) -> None:
    assert form.read(text) == value


@pytest.mark.parametrize(("form", "text", "words"), BAD, ids=[f"{form.name} {text}" for form, text, _ in BAD])
def test_wrong_forms_are_refused_with_words(form: Form, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        form.read(text)


def test_a_time_of_day_is_the_next_one_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        at = Moment().read("18:00")
        assert time.strftime("%H:%M:%S", time.localtime(at)) == "18:00:00"
        assert 0 < at - time.time() <= 25 * 3600
        assert Moment().read("2099-07-01 18:00") == Moment().read("2099-07-01T16:00Z")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert abs(Moment().read("in 2h") - time.time() - 7200) < 60
    assert Moment().read("1h") < Moment().read("2h")


def test_options_reach_the_daemon(cli: Cli) -> None:
    made = cli("submit", "--gpu-memory", "8GiB", "--not-before", "2h", "--retries", "exit=2,reboot=1", "--", "true")
    assert made.stdout == "1\n", made.stderr
    job = cli.json("status", "1")
    assert (job["gpu_memory"], job["retries"]) == (8 * 2**30, {"exit": 2, "reboot": 1})
    assert job["not_before"] > time.time() + 7000
    assert job["why_code"] == "not-before"


WRONG = [
    ["--gpu-memory", "8"],
    ["--not-before", "2001-01-01"],
    ["--retries", "bad-luck=1"],
    ["--priority", "urgent"],
    ["--tag", "x"],
    ["--time-limit", "soon"],
    ["--warn", "10s", "--time-limit", "3s"],
]


def test_wrong_usage_is_two(cli: Cli, client: Client) -> None:
    for options in WRONG:
        refused = cli("submit", *options, "--", "true")
        assert refused.returncode == 2, options
        assert options[1].partition("=")[0] in refused.stderr or "--warn" in refused.stderr, options
        assert client.queue()["queued"] == [], options


def test_texts_that_the_wire_cannot_carry(cli: Cli, tmp_path: Path) -> None:
    for words in ([b"--", b"echo", b"\xff"], [b"--name", b"\xff", b"--", b"true"], [b"--", b""]):
        refused = cli(b"submit", *words)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "Traceback" not in refused.stderr
    odd = tmp_path / "o\udcffdd"
    odd.mkdir()
    assert "not UTF-8" in cli("submit", "--", "true", cwd=odd).stderr
    cli.env["ODD"] = "\udcff"
    queued = cli("submit", "--", "true")
    assert queued.stdout == "1\n"
    assert "ODD" in queued.stderr


def test_a_folder_that_is_gone(cli: Cli, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    program = f"mkdir {gone}; cd {gone}; rmdir {gone}; {sys.executable} -m trainqueue.cli submit -- true"
    with Terminal(["sh", "-c", program], cli.env) as terminal:
        assert "does not exist any more" in terminal.rest()
    assert terminal.process.returncode == 2


def test_edit(cli: Cli) -> None:
    cli("submit", "--hold", "--", "true")
    changes = ["time_limit=1h30m", "name=123", 'command=["echo", "a b"]', "gpu_memory=8GiB", "priority=-3", "after=1"]
    sets = [word for change in changes[:-1] for word in ("--set", change)]
    assert cli("edit", "1", *sets).returncode == 0
    job = cli.json("status", "1")
    assert (job["time_limit"], job["name"], job["command"]) == (5400, "123", ["echo", "a b"])
    assert (job["gpu_memory"], job["priority"]) == (8 * 2**30, -3)
    cli("edit", "1", "--set", "name=null", "--set", "time_limit=null")
    assert cli.json("status", "1")["time_limit"] is None
    unknown = cli("edit", "1", "--set", "colour=red")
    assert (unknown.returncode, "'colour'" in unknown.stderr) == (2, True)
    assert cli("edit", "1", "--set", "gpu_memory=8").returncode == 2
    assert cli("edit", "1").returncode == 2
    assert cli("edit", "9", "--set", "name=x").returncode == 4
    assert cli("edit", "9", "1", "--set", "name=x").stdout == "1\tqueued\n"
    cli("cancel", "1")
    assert cli("edit", "1", "--set", "name=x").returncode == 1


def test_move_takes_one_place(cli: Cli) -> None:
    cli("submit", "--hold", "--", "true")
    assert cli("move", "1", "--front", "--back").returncode == 2
    assert cli("move", "1").returncode == 2
    assert cli("move", "1", "--back").returncode == 0


def test_move_several_in_the_order_given(cli: Cli, client: Client) -> None:
    client.call("pause")
    client.submit([{"command": ["true"], "cwd": "/"}] * 6)

    def line() -> list[int]:
        return [job["id"] for job in client.queue()["queued"]]

    moved = cli("move", "5", "2-3", "--front").stdout
    assert moved == "5\tqueued (position: 1)\n2\tqueued (position: 2)\n3\tqueued (position: 3)\n"
    assert line() == [5, 2, 3, 1, 4, 6]
    cli("move", "1", "5", "--back")
    assert line() == [2, 3, 4, 6, 1, 5]
    cli("move", "5", "2", "--before", "6")
    assert line() == [3, 4, 5, 2, 6, 1]
    cli("move", "1", "3", "--position", "3")
    assert line() == [4, 5, 1, 3, 2, 6]
    refused = cli("move", "99", "6", "--front")
    assert (refused.returncode, refused.stdout) == (4, "6\tqueued (position: 1)\n")
    assert "there is no job 99" in refused.stderr


def test_what_a_filter_moves_keeps_its_order(cli: Cli, client: Client) -> None:
    client.call("pause")
    client.submit([{"command": ["true"], "cwd": "/", "group": "a"}] * 2)
    client.submit([{"command": ["true"], "cwd": "/", "group": "w", "hold": at > 2} for at in range(5)])
    cli("move", "7", "--before", "3")
    cli("move", "--group", "w", "--front")
    cli("release", "--group", "w")
    assert [job["id"] for job in client.queue()["queued"]] == [7, 3, 4, 5, 6, 1, 2]


def test_the_front_is_the_front_also_while_all_are_held(cli: Cli, client: Client) -> None:
    client.call("pause")
    client.submit([{"command": ["true"], "cwd": "/", "hold": True, "group": "w"}] * 4)
    cli("move", "3", "--front")
    cli("move", "2", "4", "--front")
    cli("release", "--all")
    assert [job["id"] for job in client.queue()["queued"]] == [2, 4, 3, 1]


def test_history_selects(cli: Cli) -> None:
    cli("run", "--name", "a", "--tag", "set=x", "--", "true")
    cli("run", "--name", "b", "--group", "g", "--", "false")
    for options, ids in ((["--name", "a"], [1]), (["--state", "failed"], [2]), (["--group", "g"], [2])):
        assert [job["id"] for job in cli.json("history", *options)["jobs"]] == ids
    assert [job["id"] for job in cli.json("history", "--tag", "set=x")["jobs"]] == [1]
    assert [job["id"] for job in cli.json("history", "-n", "1")["jobs"]] == [2]


def test_a_submit_says_why_its_job_does_not_wait_in_line(cli: Cli) -> None:
    assert "queued (held until" in cli.on_a_terminal("submit", "--hold", "--", "true")
    cli("cancel", "1")
    born_dead = cli("submit", "--after", "1", "--", "true")
    assert born_dead.stdout == "2\n"
    assert "cancelled" in born_dead.stderr
    assert "this machine has" in cli("submit", "--gpus", "1000", "--", "true").stderr
    assert cli("submit", "--hold", "--", "true").stderr == ""


def test_closed_streams_do_no_harm(cli: Cli, daemon: Daemon) -> None:
    for redirection in (">&-", ">&- 2>&-", "<&- >&- 2>&-"):
        program = f"exec {sys.executable} -m trainqueue.cli submit --hold -- true {redirection}"
        with Terminal(["sh", "-c", program], cli.env) as terminal:
            assert "Traceback" not in terminal.rest()
        assert terminal.process.returncode == 0, redirection
    assert daemon.home.path.exists()
    assert len(cli.json("queue")["queued"]) == 3


def test_version_and_completion(cli: Cli) -> None:
    assert cli("--version").stdout.startswith("trainq-cli, version 0.")
    cli.env["_TRAINQ_CLI_COMPLETE"] = "bash_source"
    assert "_TRAINQ_CLI_COMPLETE=bash_complete" in cli().stdout
    cli.env |= {"_TRAINQ_CLI_COMPLETE": "bash_complete", "COMP_WORDS": "trainq-cli his", "COMP_CWORD": "1"}
    assert cli().stdout == "plain,history\n"
