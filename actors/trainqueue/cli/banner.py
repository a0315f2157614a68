"""What stands above every view while nothing starts, on standard error: in a pipe as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainqueue.cli.screen import clean

if TYPE_CHECKING:
    from trainqueue.client import Client


def say(found: dict[str, Any]) -> None:
    """Of what `queue` or `ping` tells; a daemon of before tells nothing in `ping`."""
    if found.get("paused") or found.get("draining"):
        state = "PAUSED" if found["paused"] else "DRAINING"
        since = f" since {found['pause_reason']}" if found.get("pause_reason") else ""
        sentence = f"The queue is {state}{since}: nothing starts. trainq-cli resume ends it."
        click.secho(clean(sentence), fg="yellow", bold=True, err=True)


def look(trainq: Client, *, document: bool = False) -> None:
    """Nothing where a program reads: it has its own fields for that."""
    if not document:
        say(trainq.ping())
