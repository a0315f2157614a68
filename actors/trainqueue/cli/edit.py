"""`edit`: change the fields of a waiting job, one by one or in an editor."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from trainqueue.cli.common import as_json, client, show_json
from trainqueue.cli.forms import Duration, Form, Gpus, Id, Ids, Moment, Pair, Priority, Retries, Share, Size

FORMS: dict[str, Form] = {
    **dict.fromkeys(("time_limit", "grace", "warn"), Duration()),
    **dict.fromkeys(("after", "after_any"), Ids()),
    "gpu_memory": Share(),
    "gpu_min_memory": Size(),
    "gpu_from": Gpus(),
    "not_before": Moment(),
    "priority": Priority(),
    "retries": Retries(),
}
TEXTS = ("name", "group", "cwd", "gpu_name")


def value_of(field: str, text: str) -> object:
    """As the option of the same name takes it, or JSON, or the text itself. Raises BadParameter."""
    from trainqueue.core.spec import JobSpec

    if field not in JobSpec.__struct_fields__:
        msg = f"there is no field {field!r}; fields are {', '.join(JobSpec.__struct_fields__)}"
        raise click.BadParameter(msg, param_hint="--set")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if field in FORMS and isinstance(value, str | int | float):
        try:
            return FORMS[field].read(value if isinstance(value, str) else text)
        except (ValueError, OverflowError) as error:
            raise click.BadParameter(str(error), param_hint=f"--set {field}") from None
    return text if field in TEXTS and not isinstance(value, str | None) else value


@click.command()
@click.argument("job", metavar="ID", type=Id())
@click.option(
    "--set",
    "changes",
    metavar="FIELD=VALUE",
    type=Pair(),
    multiple=True,
    help="The value plain or as JSON; may be repeated.",
)
@as_json
def edit(job: int, changes: tuple[tuple[str, str], ...], as_json: bool) -> None:  # noqa: FBT001
    """Change a waiting job's fields: --set time_limit=4h, or all of them in $EDITOR."""
    trainq = client()
    fields = {field: value_of(field, text) for field, text in changes}
    if not changes:
        if not sys.stdin.isatty():
            msg = "--set FIELD=VALUE is needed where there is no terminal for an editor"
            raise click.UsageError(msg)
        fields = edited(trainq.call("status", job=job)["job"])
    if not fields:
        click.echo("nothing was changed", err=True)
        return
    found = trainq.call("edit", job=job, set=fields)["job"]
    if as_json:
        show_json(found)
    else:
        click.echo(f"{found['id']}\t{found['state']}: {', '.join(fields)} changed")


def edited(job: dict[str, Any]) -> dict[str, Any]:
    """The fields that were changed in the editor. Raises UsageError when they cannot be read."""
    from trainqueue.core.spec import JobSpec

    before = {field: job[field] for field in JobSpec.__struct_fields__ if field in job}  # the environment is not told
    text = click.edit(json.dumps(before, indent=2) + "\n", extension=".json")
    if text is None:
        return {}
    try:
        after = dict(json.loads(text))
    except (ValueError, TypeError) as error:
        msg = f"this is no JSON object, so nothing was changed: {error}"
        raise click.UsageError(msg) from None
    return {field: value for field, value in after.items() if field not in before or value != before[field]}
