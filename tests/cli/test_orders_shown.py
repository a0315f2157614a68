"""A suspended and a preempted job, as `queue` and `status` show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support import wait_until

if TYPE_CHECKING:
    from commands import Cli

DEAF = "trap '' TERM; while :; do sleep 0.02; done"


def test_the_table_says_what_was_ordered(cli: Cli) -> None:
    cli("submit", "--grace", "1000s", "--", "sh", "-c", DEAF)
    wait_until(lambda: cli.json("status", "1")["state"] == "running")
    for verb, word, why in (
        ("suspend", "suspended", "keeps its GPUs and the memory there"),
        ("continue", "running", ""),
        ("preempt", "preempting", "saves, ends, and waits in the line again"),
        ("cancel", "stopping", ""),
    ):
        assert cli(verb, "1").returncode == 0, verb
        [line] = [line for line in cli("queue").stdout.splitlines() if line.startswith("1\t")]
        assert f"\t{word}\t" in line
        assert why in line
    cli("cancel", "--force", "1")
    cli("wait", "1")
