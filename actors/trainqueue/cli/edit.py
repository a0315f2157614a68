"""`edit`: change the fields of waiting jobs, one by one or in an editor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainqueue.cli.bulk import EDIT, act
from trainqueue.cli.common import REFUSED, as_json, client, complain, show_json
from trainqueue.cli.select import selecting
from trainqueue.cli.values import SET, changes_of

if TYPE_CHECKING:
    from trainqueue.cli.select import Selection


@click.command()
@selecting()
@SET
@as_json
def edit(which: Selection, changes: tuple[tuple[str, str], ...], as_json: bool) -> int:  # noqa: FBT001
    """Change waiting jobs' fields: --set time_limit=4h, or all of one job's in $EDITOR."""
    fields = changes_of(changes)
    if not fields:
        return in_an_editor(which, document=as_json)
    if which.filtered or len(which.ids) > 1:
        return act(EDIT, which, document=as_json, set=fields)
    found = client().call("edit", job=which.ids[0], set=fields)["job"]
    say(found, fields, document=as_json)
    return 0


def in_an_editor(which: Selection, *, document: bool) -> int:
    from trainqueue.cli.editor import edited, the_only

    trainq, only = client(), the_only(which.ids, filtered=which.filtered)
    job = trainq.call("status", job=only)["job"]
    if job["state"] != "queued":
        complain(f"job {only} is {job['state']}, and only a waiting job can be edited; retry --edit takes an ended one")
        return REFUSED
    heading = f"Job {only}, {job['why'] or 'waiting'}. Its environment is not shown; --set env=A=B adds to it."
    made = edited(job, heading, lambda fields: trainq.call("edit", job=only, set=fields)["job"])
    if made is None:
        complain(f"nothing was changed in job {only}")
    else:
        say(made[1], made[0], document=document)
    return 0


def say(job: dict[str, Any], fields: dict[str, Any], *, document: bool) -> None:
    if document:
        show_json(job)
        return
    click.echo(f"{job['id']}\t{job['state']}: {', '.join(fields)} changed")
    if job.get("why_code") == "gpu-count":  # as submit says it: nothing will start the job
        complain(f"job {job['id']} is {job['state']} ({job['why']})")
