"""`cancel`, `hold`, `release`, `move`, `pause`, `resume`, `drain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainqueue.cli.bulk import CANCEL, HOLD, MOVE, RELEASE, YES, Verb, act, picked, tell
from trainqueue.cli.common import as_json, client, complain, filled, show_json
from trainqueue.cli.forms import Id
from trainqueue.cli.select import selecting
from trainqueue.cli.unmatched import nothing

if TYPE_CHECKING:
    from trainqueue.cli.select import Selection


@click.command(name="cancel")
@selecting()
@click.option("--force", is_flag=True, help="SIGKILL at once, without grace.")
@YES
@as_json
def cancel(which: Selection, force: bool, yes: bool, as_json: bool) -> int:  # noqa: FBT001
    """Cancel waiting or running jobs."""
    return act(CANCEL, which, document=as_json, yes=yes, force=force)


def command(verb: Verb, line: str) -> click.Command:
    @click.command(name=verb.op, help=line)
    @selecting()
    @as_json
    def found(which: Selection, as_json: bool) -> int:  # noqa: FBT001
        return act(verb, which, document=as_json)

    return found


def switch(op: str, line: str) -> click.Command:
    @click.command(name=op, help=line)
    @as_json
    def command(as_json: bool) -> None:  # noqa: FBT001
        found = client().call(op)
        if as_json:
            show_json(found)
        else:
            click.echo(" and ".join(name for name in ("paused", "draining") if found[name]) or "resumed")
            if found["draining"]:
                complain(
                    "the daemon exits when the running jobs have ended, at once where none runs; what waits is safe"
                )

    return command


hold = command(HOLD, "Keep waiting jobs from starting.")
release = command(RELEASE, "Let held jobs start.")
pause = switch("pause", "Start nothing until resumed.")
resume = switch("resume", "End pause and drain.")
drain = switch("drain", "Start nothing; the daemon exits when the last running job has ended.")


@click.command()
@selecting()
@click.option("--front", is_flag=True, help="Next of all.")
@click.option("--back", is_flag=True, help="Last of all.")
@click.option("--before", metavar="ID", type=Id(), help="In front of this job.")
@click.option("--position", metavar="N", type=click.IntRange(1, 2**53), help="1 = next.")
@as_json
def move(which: Selection, as_json: bool, **places: Any) -> int:  # noqa: FBT001
    """Give waiting jobs another place; several stand there in the order given, those of a filter in their own."""
    ends: list[dict[str, Any]] = [{"to": end} for end in ("front", "back") if places.pop(end)]
    given = [*ends, *({name: value} for name, value in filled(**places).items())]
    if len(given) != 1:
        msg = "exactly one of --front, --back, --before, --position is needed"
        raise click.UsageError(msg)
    trainq = client()
    ids = picked(trainq, MOVE, which)
    if not ids:
        return nothing(trainq, which, MOVE.states, document=as_json)
    if len(ids) > 1 or which.filtered:
        order = {"order": "line"} if which.filtered else {}
        return tell(MOVE, trainq.move(ids, **given[0], **order), document=as_json)
    found = trainq.call("move", job=ids[0], **given[0])["job"]
    if as_json:
        show_json(found)
    else:
        click.echo(f"{found['id']}\t{found['state']}" + (f" (position: {found['position']})" * bool(found["position"])))
    return 0
