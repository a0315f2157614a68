"""Tables on a terminal of 80 columns: long names and wide characters do not break a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import wait_until

from trainqueue.cli.screen import cells, fitting, padded

if TYPE_CHECKING:
    from commands import Cli

    from trainqueue.client import Client


def test_no_line_is_longer_than_the_terminal(cli: Cli, client: Client) -> None:
    for name in ("long " * 30, "文字" * 40, "é́" * 100, "🚀" * 50):
        client.submit([{"command": ["true"], "cwd": "/", "name": name, "hold": True}])
    for command in ("status", "queue"):
        for columns in (80, 60):
            lines = cli.on_a_terminal(command, columns=columns).splitlines()
            assert len(lines) == 5
            assert max(cells(line) for line in lines) <= columns
    assert len({cells(line.partition("held")[0]) for line in lines[1:]}) == 1  # the columns are one below the other
    assert "long " * 30 in cli("queue").stdout


@pytest.mark.parametrize("wish", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_who_wants_no_colours_gets_none(cli: Cli, wish: dict[str, str]) -> None:
    cli("pause")
    assert "\x1b[" in cli.on_a_terminal("queue")
    cli.env |= wish
    assert "\x1b[" not in cli.on_a_terminal("queue")


def test_a_narrow_encoding_is_no_reason_to_fail(cli: Cli) -> None:
    cli.env |= {"PYTHONIOENCODING": "latin-1"}
    cli("submit", "--hold", "--name", "文字", "--", "true")
    assert "??" in cli("queue").stdout


def test_a_job_that_is_being_stopped_says_so(cli: Cli) -> None:
    cli("submit", "--grace", "60s", "--", "sh", "-c", 'trap "" TERM; echo up; while :; do sleep 0.02; done')
    wait_until(lambda: cli("logs", "1").stdout)
    assert cli("cancel", "1").stdout == "1\tstopping\n"
    assert cli("status").stdout.splitlines()[1].split("\t")[1] == "stopping"
    cli("cancel", "--force", "1")
    assert cli("wait", "1").returncode == 128 + 9


def test_a_job_whose_time_is_over_is_stopping(cli: Cli) -> None:
    loop = 'trap "" TERM; while :; do sleep 0.02; done'
    cli("submit", "--time-limit", "0.2s", "--grace", "60s", "--", "sh", "-c", loop)
    wait_until(lambda: cli("status").stdout.splitlines()[1].split("\t")[1] == "stopping")
    cli("cancel", "--force", "1")
    assert cli("wait", "1").returncode == 128 + 9


def test_a_job_in_full_is_for_people_and_for_pipes(cli: Cli) -> None:
    cli("submit", "--hold", "--tag", "a=b", "--time-limit", "4h", "--", "sh", "-c", "echo 'x'\ntrue")
    cli("submit", "--hold", "--", "true")
    piped = dict(line.split("\t") for line in cli("status", "1").stdout.splitlines())
    assert (piped["tags"], piped["time_limit"]) == ("a=b", "4h")
    assert piped["command"] == r"""sh -c $'echo \'x\'\ntrue'"""
    assert "\t" not in cli.on_a_terminal("status", "1")
    assert "\n\nid" in cli("status", "1-2").stdout


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("文字", 4), ("é", 1), ("🚀", 2), ("", 0)])
def test_cells(text: str, width: int) -> None:
    assert cells(text) == width


def test_padded_is_exactly_as_wide() -> None:
    for text in ("abcdefgh", "文字文字文字", "🚀🚀🚀🚀🚀", "short", "é́é́é́é́é́é́é́é́"):
        assert cells(padded(text, 7)) == 7
    assert padded("abcdefgh", 7) == "abcdef…"


def test_only_wide_columns_give_way() -> None:
    assert fitting([3, 60, 40], 80) == [3, 36, 37]
    assert fitting([3, 6, 4], 80) == [3, 6, 4]
    assert fitting([30, 30, 30], 10) == [8, 8, 8]
