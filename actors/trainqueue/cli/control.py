"""`signal`, `suspend`, `continue`, `preempt`: what is done to running jobs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from trainqueue.cli.bulk import YES, Verb, act
from trainqueue.cli.common import as_json, flat
from trainqueue.cli.forms import Ids
from trainqueue.cli.select import RUNNING, Selection, selecting

if TYPE_CHECKING:
    from collections.abc import Sequence

SUSPEND = Verb("suspend", RUNNING, word="suspended", asks=True)
CONTINUE = Verb("continue", RUNNING)
PREEMPT = Verb("preempt", RUNNING, word="preempting", asks=True)


def parted(words: Sequence[str]) -> tuple[list[int], str]:
    """The ids and the signal, which comes last, or first when it is a name. Raises UsageError."""
    *ids, name = words
    if ids and not re.fullmatch(r"[0-9][0-9,-]*", ids[0]):
        name, *ids = words
    try:
        return flat(Ids().read(word) for word in ids), name
    except ValueError as error:
        msg = f"{error}; the signal comes last: trainq-cli signal 3-7 USR1"
        raise click.UsageError(msg) from None


@click.command(name="signal")
@click.argument("words", nargs=-1, required=True, metavar="[ID…] SIGNAL")
@selecting(ids=False, needed=False)
@YES
@as_json
def signal(words: tuple[str, ...], which: Selection, yes: bool, as_json: bool) -> int:  # noqa: FBT001
    """Send a signal to running jobs, to all processes of their groups: USR1, SIGHUP, 10."""
    ids, name = parted(words)
    if not ids and not which.filtered:
        msg = "to which jobs? Name ids before the signal (3, 3-7), or select: --name, --tag, --group, --mine, --all"
        raise click.UsageError(msg)
    said = "SIG" + name.upper().removeprefix("SIG") if not name.isdecimal() else f"signal {name}"
    verb = Verb("signal", RUNNING, word=f"{said} sent", later=f"{said} kept until it is continued", asks=True)
    return act(verb, which.of(ids), document=as_json, yes=yes, signal=name)


@click.command(name="suspend")
@selecting()
@YES
@as_json
def suspend(which: Selection, yes: bool, as_json: bool) -> int:  # noqa: FBT001
    """Stop all processes of running jobs where they are; they keep their GPUs and the memory there."""
    return act(SUSPEND, which, document=as_json, yes=yes)


@click.command(name="continue")
@selecting()
@YES
@as_json
def continue_(which: Selection, yes: bool, as_json: bool) -> int:  # noqa: FBT001
    """Let suspended jobs run on."""
    return act(CONTINUE, which, document=as_json, yes=yes)


@click.command(name="preempt")
@selecting()
@click.option("--hold", is_flag=True, help="Held there, until released.")
@YES
@as_json
def preempt(which: Selection, hold: bool, yes: bool, as_json: bool) -> int:  # noqa: FBT001
    """Put running jobs back into the line: SIGUSR1, after --warn SIGTERM, after --grace SIGKILL; then a new attempt."""
    return act(PREEMPT, which, document=as_json, yes=yes, hold=hold)
