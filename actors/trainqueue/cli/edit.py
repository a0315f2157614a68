"""`edit`: change the fields of a waiting job, one by one or in an editor."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from trainqueue.cli.common import as_json, client, complain, show_json
from trainqueue.cli.demand import ASKED, demanded, refuse
from trainqueue.cli.forms import Duration, Form, Gpus, Id, Ids, Moment, Pair, Priority, Retries, Share, Size

FORMS: dict[str, Form] = {
    **dict.fromkeys(("time_limit", "grace", "warn", "stall_timeout"), Duration()),
    **dict.fromkeys(("after", "after_any"), Ids()),
    "gpu_memory": Share(),
    "gpu_min_memory": Size(),
    **dict.fromkeys(("gpu_from", "gpu", "gpu_any"), Gpus()),
    "not_before": Moment(),
    "priority": Priority(),
    "retries": Retries(),
}
TEXTS = ("name", "group", "lane", "cwd", "gpu_name", "stall_action")
AS_IN_SUBMIT = ("gpu", "gpu_any")
"""No fields of a job, but options of `submit` that stand for some."""


def value_of(field: str, text: str) -> object:
    """As the option of the same name takes it, or JSON, or the text itself. Raises BadParameter."""
    from trainqueue.core.spec import JobSpec

    known = (*JobSpec.__struct_fields__, *AS_IN_SUBMIT)
    if field not in known:
        msg = f"there is no field {field!r}; fields are {', '.join(known)}"
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


def wished(fields: dict[str, Any]) -> dict[str, Any]:
    """With what `gpu` and `gpu_any` stand for. Raises UsageError where they contradict themselves or others."""
    these, among = fields.pop("gpu", None), fields.pop("gpu_any", None)
    if these is None and among is None:
        return fields
    if "gpu_from" in fields:
        refuse("gpu_from is what gpu and gpu_any stand for: give one of the three")
    found = demanded(dict.fromkeys(ASKED) | {"gpus": fields.get("gpus"), "these": these, "among": among})
    return fields | {name: found[name] for name in ("gpus", "gpu_from") if found[name] is not None}


@click.command()
@click.argument("job", metavar="ID", type=Id())
@click.option(
    "--set",
    "changes",
    metavar="FIELD=VALUE",
    type=Pair(),
    multiple=True,
    help="The value plain or as JSON; may be repeated. gpu=0,2 and gpu_any=0,1 mean what they do in submit.",
)
@as_json
def edit(job: int, changes: tuple[tuple[str, str], ...], as_json: bool) -> None:  # noqa: FBT001
    """Change a waiting job's fields: --set time_limit=4h, or all of them in $EDITOR."""
    trainq = client()
    fields = wished({field: value_of(field, text) for field, text in changes})
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
        if found.get("why_code") == "gpu-count":  # as submit says it: nothing will start the job
            complain(f"job {found['id']} is {found['state']} ({found['why']})")


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
