"""A JobSpec's fields as people give them one by one: `--set FIELD=VALUE`, and in an editor."""

from __future__ import annotations

import json
from typing import Any

import click

from trainqueue.cli.demand import ASKED, demanded, refuse
from trainqueue.cli.forms import (
    Duration,
    Form,
    Gpus,
    Group,
    Ids,
    Moment,
    OrNone,
    Pair,
    Priority,
    Retries,
    Share,
    Size,
)

FORMS: dict[str, Form] = {
    **dict.fromkeys(("time_limit", "grace", "warn", "stall_timeout", "retry_delay"), Duration()),
    **dict.fromkeys(("after", "after_any", "after_failed"), OrNone(Ids())),
    "after_group": OrNone(Group()),
    "gpu_memory": Share(),
    **dict.fromkeys(("gpu_min_memory", "memory_limit"), Size()),
    **dict.fromkeys(("gpu_from", "gpu", "gpu_any"), Gpus()),
    "not_before": Moment(),
    "priority": Priority(),
    "retries": Retries(),
}
TEXTS = ("name", "group", "cwd", "gpu_name", "stall_action", "retry_place", "lane", "snapshot")
AS_IN_SUBMIT = ("gpu", "gpu_any")
"""No fields of a job, but options of `submit` that stand for some."""
SET = click.option(
    "--set",
    "changes",
    metavar="FIELD=VALUE",
    type=Pair(),
    multiple=True,
    help="The value plain or as JSON; may be repeated. gpu=0,2 and gpu_any=0,1 mean what they do in submit.",
)


def wanted(changes: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """What `--set` says. Raises UsageError."""
    return wished({field: value_of(field, text) for field, text in changes})


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


def read_value(field: str, value: object) -> object:
    """Of a document that has numbers and lists of its own. Raises ValueError with a sentence."""
    if field not in FORMS or not isinstance(value, str):
        return value
    try:
        return FORMS[field].read(value)
    except (ValueError, OverflowError) as error:
        msg = f"{field}: {error}"
        raise ValueError(msg) from None


def wished(fields: dict[str, Any]) -> dict[str, Any]:
    """With what `gpu` and `gpu_any` stand for. Raises UsageError where they contradict themselves or others."""
    these, among = fields.pop("gpu", None), fields.pop("gpu_any", None)
    if these is None and among is None:
        return fields
    if "gpu_from" in fields:
        refuse("gpu_from is what gpu and gpu_any stand for: give one of the three")
    found = demanded(dict.fromkeys(ASKED) | {"gpus": fields.get("gpus"), "these": these, "among": among})
    return fields | {name: found[name] for name in ("gpus", "gpu_from") if found[name] is not None}
