"""Fields of a job as people set them one by one: `--set FIELD=VALUE`, and in the document that an editor gets."""

from __future__ import annotations

from typing import Any

import click

from trainqueue import capture
from trainqueue.cli.demand import ASKED, demanded
from trainqueue.cli.fields import ALIASES, FIELDS, default, form
from trainqueue.cli.forms import Pair
from trainqueue.cli.given import NOT_UTF8, refuse

GPU_OPTIONS = ("gpu", "gpu_any")
"""No fields of a job, but options of `submit` that stand for some."""
CLEARED = ("", "null")
SET = click.option(
    "--set",
    "changes",
    metavar="FIELD=VALUE",
    type=Pair("FIELD=VALUE"),
    multiple=True,
    help="As submit's option of that name takes it: time-limit=4h, memory=32GiB, tag=a=b,c=d, gpu=0,2; "
    "lists and tables as JSON, too. FIELD= sets it back to what it is without a word about it. "
    "env=A=B goes on top of the environment, and env='{\"A\": null}' takes A off again. May be repeated.",
)


def changes_of(given: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """The fields that `--set` changes. Raises UsageError."""
    found: dict[str, Any] = {}
    for name, text in given:
        field = known(name, text)
        value = value_of(field, name, text)
        if value == [] and field in GPU_OPTIONS:
            field = "gpu_from"
        found[field] = value if field not in found else together(field, found[field], value)
    return with_gpus(found)


def known(name: str, text: str) -> str:
    """The field that somebody means. Raises BadParameter."""
    field = name.strip().removeprefix("--").replace("-", "_")
    field = ALIASES.get(field, field)
    if field in {"env", "env_extra"}:
        if text in CLEARED:
            msg = """say which variable: env='{"A": null}' takes A off again"""
            raise click.BadParameter(msg, param_hint=f"--set {name}")
        return "env_extra"  # as submit's --env: nobody types all of an environment
    if field in FIELDS or field in GPU_OPTIONS:
        return field
    raise click.BadParameter(unknown(name), param_hint="--set")


def unknown(name: str) -> str:
    """That there is no such field, which one may be meant, and which there are."""
    from difflib import get_close_matches

    every = [*FIELDS, *ALIASES, *GPU_OPTIONS]
    close = get_close_matches(name.lower().replace("-", "_"), every, 1)
    meant = f"did you mean {ALIASES.get(close[0], close[0])}? Fields" if close else "fields"
    return f"there is no field {name!r}; {meant} are {', '.join([*FIELDS, *GPU_OPTIONS])}"


def value_of(field: str, name: str, text: str) -> object:
    """Raises BadParameter, which calls the field as it was typed."""
    real = "gpu_from" if field in GPU_OPTIONS else field
    try:
        if not capture.is_text(text):
            msg = f"{text!a} {NOT_UTF8}"
            raise ValueError(msg)
        return default(real) if text in CLEARED else form(real).parse(text)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error), param_hint=f"--set {name}") from None


def together(field: str, first: Any, second: Any) -> Any:
    """Of a field that was given twice: both where it holds several, as with submit's options, else the second."""
    if field in GPU_OPTIONS or not form(field).adds or not second:
        return second
    return {**first, **second} if isinstance(second, dict) else [*dict.fromkeys([*first, *second])]


def from_document(field: str, value: object) -> object:
    """Of a document that has numbers and lists of its own. Raises ValueError with a sentence."""
    try:
        return default(field) if value == "" else form(field).take(value)
    except (ValueError, OverflowError) as error:
        msg = f"{field}: {error}"
        raise ValueError(msg) from None


def with_gpus(fields: dict[str, Any]) -> dict[str, Any]:
    """With what `gpu` and `gpu_any` stand for. Raises UsageError where they contradict themselves or others."""
    these, among = fields.pop("gpu", None), fields.pop("gpu_any", None)
    if these is None and among is None:
        return fields
    if "gpu_from" in fields:
        refuse("gpu_from is what gpu and gpu_any stand for: give one of the three")
    found = demanded(dict.fromkeys(ASKED) | {"gpus": fields.get("gpus"), "these": these, "among": among})
    return fields | {name: found[name] for name in ("gpus", "gpu_from") if found[name] is not None}
