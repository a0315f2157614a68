"""What stands above every view while nothing starts, on standard error: in a pipe as well."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from trainqueue.cli.lane import banners
from trainqueue.cli.screen import clean, clock
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainqueue.client import Client

LEAVES = "the daemon exits when the running jobs have ended"


def say(found: dict[str, Any]) -> None:
    """Of what `queue` or `ping` tells; a daemon of before tells nothing in `ping`."""
    for sentence in (*modes(found), *banners(found)):
        click.secho(sentence, fg="yellow", bold=True, err=True)


def modes(found: dict[str, Any]) -> list[str]:
    """The sentence about the queue as a whole, if there is one to say."""
    paused, draining = found.get("paused"), found.get("draining")
    if not (paused or draining):
        return []
    reason, at = found.get("pause_reason"), clock(found.get("paused_since"))
    since = f"{reason} ({at})" if reason and at else reason or at
    state = f"PAUSED{f' since {since}' if since else ''}" if paused else "DRAINING"
    also = " and DRAINING" * bool(paused and draining)
    then = f", and {LEAVES}" * bool(draining)
    return [
        clean(f"The queue is {state}{also}: nothing starts{then}. trainq-cli resume ends {'both' if also else 'it'}.")
    ]


def look(trainq: Client, *, document: bool = False, lanes: Collection[str] = ()) -> None:
    """Also of these lanes. Nothing where a program reads: it has its own fields for that."""
    if document:
        return
    found = trainq.ping()
    if lanes:
        with suppress(RequestError):  # a daemon of before knows of none
            found["lanes"] = [lane for lane in trainq.lanes() if lane["name"] in lanes]
    say(found)
