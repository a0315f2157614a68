"""One job in full: all of its fields that apply, its attempts, what has changed in its folder."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import click

from trainqueue.cli import expected, gauges
from trainqueue.cli.fields import FIELDS, applies
from trainqueue.cli.screen import clean, clock, took
from trainqueue.cli.select import ENDED
from trainqueue.cli.select import shown as shown_jobs
from trainqueue.cli.stalls import stalled
from trainqueue.sizes import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.cli.select import Selection
    from trainqueue.client import Client

CHANGED = 5
"""Names of changed files that are shown."""
SIZES = ("gpu_share", "peak_memory")


def in_full(trainq: Client, which: Selection, *, env: bool) -> list[dict[str, Any]]:
    """Of those named each by itself, so that the first that is not there is said."""
    if which.filtered and not env:
        return shown_jobs(trainq, which)
    ids = [job["id"] for job in shown_jobs(trainq, which)] if which.filtered else which.ids
    return [told(trainq.call("status", job=job, env=env)) for job in ids]


def told(answer: dict[str, Any]) -> dict[str, Any]:
    """The job, and what was told beside it."""
    return {**answer.pop("job"), **answer}


def with_changes(job: dict[str, Any], *, look_at_files: bool) -> dict[str, Any]:
    """Of one whose code is not frozen: which of it has changed since the submit; of an ended one, until it began.

    Null where there is nothing to look at, or too much.
    """
    from trainqueue.frozen import changed

    over = job["state"] in ENDED
    if not look_at_files or job.get("snapshot") is not None or (over and job["started_at"] is None):
        return {**job, "changed_files": None}
    until = job["started_at"] if over else math.inf
    return {**job, "changed_files": changed.between(job["cwd"], job["submitted_at"], until)}


def changes(job: dict[str, Any]) -> str:
    """What status says of them."""
    names, over = job["changed_files"], job["state"] in ENDED
    some = ", ".join(names[:CHANGED]) + (f" and {len(names) - CHANGED} more" if len(names) > CHANGED else "")
    count = "1 file" if len(names) == 1 else f"{len(names)} files"
    has = "" if over else " has" if len(names) == 1 else " have"
    when = "after the submit and before its start" if over else "since the submit"
    return f"{count} tracked by git{has} changed {when}: {some}; --snapshot would have frozen the code"


def show_job(job: dict[str, Any]) -> None:
    """Aligned on a terminal, tab-separated in a pipe."""
    live = sys.stdout.isatty()
    for name, fact in facts(job):
        click.echo((f"{name:14} " if live else f"{name}\t") + fact)


def facts(job: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every field that applies."""
    env, attempts, series = job.pop("env", {}), job.pop("attempts", []), job.pop("series", None)
    job |= {"quiet": stalled(job) or None}  # what is quiet, and for how long
    told: list[tuple[str, object]] = []
    for name, value in expected.told(job).items():
        if name == "progress" and value:
            told += gauges.block(job, series or {})
        elif tells(value) and applies(name, job) and (name != "hold" or job["state"] == "queued"):
            told.append((name, changes(job) if name == "changed_files" else shown(name, value)))
    if len(attempts) > 1:
        told += [(f"attempt {one['attempt']}", tried(one)) for one in attempts]
    for name, fact in [*told, *(("env", f"{name}={value}") for name, value in env.items())]:
        if fact != "":
            yield name, clean(fact)


def tried(attempt: dict[str, Any]) -> str:
    """How one of several attempts went: failed (exit 3) after 2 min, ended 18:02; its log."""
    ending = f"exit {attempt['exit_code']}" if attempt["exit_code"] is not None else None
    ending = ending or (f"signal {attempt['signal']}" if attempt["signal"] is not None else None)
    why = ", ".join(part for part in (attempt["cause"], ending) if part)
    said = (attempt["state"] or "nothing is left of it") + (f" ({why})" if why else "")
    said += f" after {took(attempt['run_time'])}" if attempt["run_time"] is not None else ""
    said += f", {clock(attempt['ended_at'])}" if attempt["ended_at"] is not None else ""
    return said + (f": {attempt['message']}" if attempt["message"] else "")


def tells(value: object) -> bool:
    """Whether the field applies."""
    return value is not None and value is not False and value not in ([], {})


def shown(name: str, value: Any) -> object:
    """A field as people read it."""
    if name in FIELDS:
        return FIELDS[name].form.show(value)
    if name == "stalled_since" or (name.endswith("_at") and not name.startswith("expected")):
        return clock(value)
    if name in {"run_time", "gpu_seconds"}:
        return took(value)
    if name in SIZES:
        return size(value)
    if name == "waited":
        return durations(value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={entry}" for key, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def durations(seconds: dict[str, float]) -> str:
    """By reason, the longest first; what rounds to nothing is none."""
    ordered = sorted(((reason, spent) for reason, spent in seconds.items() if spent >= 1), key=lambda one: -one[1])
    return ", ".join(f"{reason} {took(spent)}" for reason, spent in ordered)
