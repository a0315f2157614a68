"""`cancel`, `hold`, `release`, `retry`, `move`, `pause`, `resume`, `drain`."""

from __future__ import annotations

from typing import Any

import click

from trainqueue.cli.common import NO_JOB, REFUSED, Ids, as_json, clean, client, flat, show_json


def bulk(op: str, ids: tuple[list[int], ...], *, document: bool, **fields: object) -> int:
    answers = client().verb(op, flat(ids), **fields)
    if document:
        show_json(answers)
    errors = [answer["error"] for answer in answers if not answer["ok"]]
    for answer in () if document else answers:
        if answer["ok"]:
            click.echo(f"{answer['id']}\t{answer['state']}")
        else:
            click.echo(f"trainq-cli: {clean(answer['error']['message'])}", err=True)
    if errors and all(error["code"] == "not-found" for error in errors):
        return NO_JOB
    return REFUSED if errors else 0


@click.command()
@click.argument("ids", type=Ids(), nargs=-1, required=True)
@click.option("--force", is_flag=True, help="SIGKILL at once, without grace.")
@as_json
def cancel(ids: tuple[list[int], ...], force: bool, as_json: bool) -> int:  # noqa: FBT001
    """Cancel waiting or running jobs."""
    return bulk("cancel", ids, document=as_json, force=force)


def verb(op: str, line: str) -> click.Command:
    @click.command(name=op, help=line)
    @click.argument("ids", type=Ids(), nargs=-1, required=True)
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
            click.echo("paused" if found["paused"] else "draining" if found["draining"] else "running")

    return command


hold = verb("hold", "Keep waiting jobs from starting.")
release = verb("release", "Let held jobs start.")
retry = verb("retry", "Queue ended jobs again, as a new attempt.")
pause = switch("pause", "Start nothing until resumed.")
resume = switch("resume", "End pause and drain.")
drain = switch("drain", "Start nothing; the daemon exits when the last running job has ended.")


@click.command()
@click.argument("job", type=click.IntRange(min=1))
@click.option("--front", "place", flag_value="front", help="Next of all.")
@click.option("--back", "place", flag_value="back", help="Last of all.")
@click.option("--before", type=click.IntRange(min=1), help="In front of this job.")
@click.option("--position", type=click.IntRange(min=1), help="1 = next.")
@as_json
def move(job: int, place: str | None, before: int | None, position: int | None, as_json: bool) -> None:  # noqa: FBT001
    """Give a waiting job another place."""
    wanted: dict[str, Any] = {"to": place, "before": before, "position": position}
    given = {name: value for name, value in wanted.items() if value is not None}
    if len(given) != 1:
        msg = "exactly one of --front, --back, --before, --position is needed"
        raise click.UsageError(msg)
    found = client().call("move", job=job, **given)["job"]
    if as_json:
        show_json(found)
    else:
        click.echo(f"{found['id']}\tposition {found['position']}")
