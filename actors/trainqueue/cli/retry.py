"""`retry`: ended jobs begin a new attempt, or (`--copy`) new jobs are made like them; either with changed fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainqueue.cli.bulk import RETRY, Verb, done, picked, tell
from trainqueue.cli.common import REFUSED, as_json, client, complain, show_json
from trainqueue.cli.select import ENDED, STATES, selecting
from trainqueue.cli.unmatched import nothing
from trainqueue.cli.values import SET, changes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainqueue.cli.select import Selection
    from trainqueue.client import Client

COPY = Verb("copy", STATES)


@click.command(name="retry")
@selecting()
@SET
@click.option("--edit", is_flag=True, help="Change its fields in $EDITOR first; one job.")
@click.option("--copy", is_flag=True, help="As new jobs, of which the ids are printed; of jobs in any state.")
@as_json
def retry(which: Selection, changes: tuple[tuple[str, str], ...], edit: bool, copy: bool, as_json: bool) -> int:  # noqa: FBT001
    """Queue ended jobs again: same id, next attempt."""
    fields, trainq = changes_of(changes), client()
    if edit:
        return in_an_editor(trainq, which, fields, copy=copy, document=as_json)
    verb = COPY if copy else RETRY
    ids = picked(trainq, verb, which)
    if not ids:
        return nothing(trainq, which, verb.states, document=as_json)
    if copy:
        say_copies(trainq.copy(ids, set=fields), ids, document=as_json)
        return 0
    return tell(RETRY, done(trainq, RETRY, ids, {"set": fields} if fields else {}), document=as_json)


def in_an_editor(trainq: Client, which: Selection, fields: dict[str, Any], *, copy: bool, document: bool) -> int:
    from trainqueue.cli.editor import edited, the_only

    only = the_only(which.ids, filtered=which.filtered)
    job = trainq.call("status", job=only)["job"]
    if not copy and job["state"] not in ENDED:
        complain(f"job {only} is {job['state']}: edit changes a waiting job, and only an ended one can be retried")
        return REFUSED
    heading = f"Job {only}, {job['state']}: a copy of it." if copy else f"Job {only}, {job['state']}: its next attempt."

    def take(changed: dict[str, Any]) -> list[dict[str, Any]]:
        if copy:
            return trainq.copy([only], set=fields | changed)
        return refusing(trainq.retry([only], set=fields | changed))

    made = edited({**job, **fields}, heading, take)
    if made is None:
        again = f"trainq-cli retry {'--copy ' if copy else ''}{only}" + (" with the same --set" if fields else "")
        complain(f"nothing was changed in job {only}, and nothing queued; to queue it as it is: {again}")
        return REFUSED
    if copy:
        say_copies(made[1], [only], document=document)
        return 0
    return tell(RETRY, made[1], document=document)


def refusing(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Raises RequestError, so that the editor comes back with it."""
    from trainqueue.errors import RequestError

    for answer in answers:
        if not answer["ok"]:
            raise RequestError(answer["error"]["code"], answer["error"]["message"])
    return answers


def say_copies(made: Sequence[dict[str, Any]], ids: Sequence[int], *, document: bool) -> None:
    if document:
        show_json(made)
        return
    for job, of in zip(made, ids, strict=True):
        click.echo(f"{job['id']}\t{job['state']}: a copy of {of}")
