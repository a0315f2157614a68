"""`cancel`, `hold`, `release`, `retry`, `move`, `pause`, `resume`, `drain`."""

from __future__ import annotations

from typing import Any

import click

from trainqueue.cli.common import NO_JOB, REFUSED, as_json, client, complain, filled, flat, show_json
from trainqueue.cli.forms import Id, Ids


def bulk(op: str, ids: tuple[list[int], ...], *, document: bool, **fields: object) -> int:
    answers = client().verb(op, flat(ids), **fields)
    if document:
        show_json(answers)
    errors = [answer["error"] for answer in answers if not answer["ok"]]
    for answer in () if document else answers:
        if answer["ok"]:
            stopping = op == "cancel" and answer["state"] in {"pending", "running"}
            click.echo(f"{answer['id']}\t{'stopping' if stopping else answer['state']}")
        else:
            complain(answer["error"]["message"])
    if errors and all(error["code"] == "not-found" for error in errors):
        return NO_JOB
    return REFUSED if errors else 0


@click.command()
@click.argument("ids", type=Ids(), nargs=-1, required=True, metavar="ID…")
@click.option("--force", is_flag=True, help="SIGKILL at once, without grace.")
@as_json
def cancel(ids: tuple[list[int], ...], force: bool, as_json: bool) -> int:  # noqa: FBT001
    """Cancel waiting or running jobs."""
    return bulk("cancel", ids, document=as_json, force=force)


def verb(op: str, line: str) -> click.Command:
    @click.command(name=op, help=line)
    @click.argument("ids", type=Ids(), nargs=-1, required=True, metavar="ID…")
    @as_json
    def command(ids: tuple[list[int], ...], as_json: bool) -> int:  # noqa: FBT001
        return bulk(op, ids, document=as_json)

    return command


def switch(op: str, line: str) -> click.Command:
    @click.command(name=op, help=line)
    @as_json
    def command(as_json: bool) -> None:  # noqa: FBT001
        found = client().call(op)
        if as_json:
            show_json(found)
        else:
            click.echo(" and ".join(name for name in ("paused", "draining") if found[name]) or "resumed")

    return command


hold = verb("hold", "Keep waiting jobs from starting.")
release = verb("release", "Let held jobs start.")
retry = verb("retry", "Queue ended jobs again, as a new attempt.")
pause = switch("pause", "Start nothing until resumed.")
resume = switch("resume", "End pause and drain.")
drain = switch("drain", "Start nothing; the daemon exits when the last running job has ended.")


@click.command()
@click.argument("job", metavar="ID", type=Id())
@click.option("--front", is_flag=True, help="Next of all.")
@click.option("--back", is_flag=True, help="Last of all.")
@click.option("--before", type=Id(), help="In front of this job.")
@click.option("--position", metavar="N", type=click.IntRange(1, 2**53), help="1 = next.")
@as_json
def move(job: int, as_json: bool, **places: Any) -> None:  # noqa: FBT001
    """Give a waiting job another place."""
    ends: list[dict[str, Any]] = [{"to": end} for end in ("front", "back") if places.pop(end)]
    given = [*ends, *({name: value} for name, value in filled(**places).items())]
    if len(given) != 1:
        msg = "exactly one of --front, --back, --before, --position is needed"
        raise click.UsageError(msg)
    found = client().call("move", job=job, **given[0])["job"]
    if as_json:
        show_json(found)
    else:
        click.echo(f"{found['id']}\t{found['state']}" + (f" (position: {found['position']})" * bool(found["position"])))
