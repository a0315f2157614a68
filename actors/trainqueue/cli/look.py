"""`status`, `queue`, `history`, `gpus`, `stats`, `events`: they look and change nothing."""

from __future__ import annotations

import shlex
import time
from typing import Any

import click

from trainqueue.cli.common import Ids, as_json, bar, clean, client, clock, flat, show_json, table, took

HEADS = ("ID", "STATE", "POSITION", "NAME", "TIME", "PROGRESS", "WHY")


def row(job: dict[str, Any]) -> tuple[object, ...]:
    started = job["started_at"]
    seconds = (job["ended_at"] or time.time()) - started if started else None
    progress = job["progress"] or {}
    why = job["why"] or job["cause"] or ""
    return (job["id"], job["state"], job["position"], job["name"], took(seconds), bar(progress.get("fraction")), why)


def show_queue(*, document: bool, limit: int = 100) -> None:
    found = client().queue(limit)
    if document:
        show_json(found)
        return
    if found["paused"] or found["draining"]:
        state = "PAUSED" if found["paused"] else "DRAINING"
        click.secho(
            f"The queue is {state}: nothing starts. trainq-cli resume ends it.", fg="yellow", bold=True, err=True
        )
    table(HEADS, map(row, [*found["running"], *found["queued"]]))


@click.command()
@click.argument("ids", type=Ids(), nargs=-1)
@as_json
def status(ids: tuple[list[int], ...], as_json: bool) -> None:  # noqa: FBT001
    """The queue at a glance, or one job in full."""
    if not ids:
        show_queue(document=as_json)
        return
    trainq = client()
    jobs = [trainq.call("status", job=job)["job"] for job in flat(ids)]
    if as_json:
        show_json(jobs[0] if len(jobs) == 1 else jobs)
        return
    for job in jobs:
        for name, value in job.items():
            if value is not None and value is not False and value not in ([], {}):
                click.echo(f"{name:14} {clean(shown(name, value))}")


def shown(name: str, value: Any) -> object:
    """A field as people read it."""
    if name.endswith("_at"):
        return clock(value)
    if name == "command":
        return shlex.join(value)
    if name == "umask":
        return f"{value:03o}"
    if name == "progress":
        facts = [f"{key} {number:g}" for key, number in value["metrics"].items()]
        return " ".join([bar(value["fraction"]), *facts, value["message"] or ""])
    return ", ".join(map(str, value)) if isinstance(value, list) else value


@click.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=100)
@as_json
def queue(limit: int, as_json: bool) -> None:  # noqa: FBT001
    """Running and waiting jobs."""
    show_queue(document=as_json, limit=limit)


@click.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=30)
@as_json
def history(limit: int, as_json: bool) -> None:  # noqa: FBT001
    """Ended jobs, newest first."""
    found = client().call("jobs", states=["completed", "failed", "cancelled", "lost"], limit=limit)
    if as_json:
        show_json(found)
        return
    rows = (
        (job["id"], job["state"], job["exit_code"], job["cause"], job["name"], clock(job["ended_at"]))
        for job in found["jobs"]
    )
    table(("ID", "STATE", "EXIT", "CAUSE", "NAME", "ENDED"), rows)


@click.command()
@as_json
def gpus(as_json: bool) -> None:  # noqa: FBT001
    """The GPUs and who holds them."""
    found = client().call("gpus")
    if as_json:
        show_json(found)
        return
    rows = ((gpu["index"], gpu["name"], gpu["id"], ",".join(map(str, gpu["jobs"]))) for gpu in found["gpus"])
    table(("GPU", "NAME", "ID", "JOBS"), rows)


@click.command()
@as_json
def stats(as_json: bool) -> None:  # noqa: FBT001
    """Counts, GPU seconds used, waited and lost."""
    found = client().call("stats")
    if as_json:
        show_json(found)
        return
    counts = found.pop("counts")
    table(("WHAT", "VALUE"), [*counts.items(), *((name, f"{value:.1f}") for name, value in found.items())])


@click.command()
@click.option("-f", "follow", is_flag=True, help="Go on with those to come.")
@click.option("--after", type=click.IntRange(min=0), default=0, help="From this sequence number on.")
@as_json
def events(follow: bool, after: int, as_json: bool) -> None:  # noqa: FBT001
    """What has happened, oldest first."""
    trainq = client()
    stream = trainq.follow() if follow else None
    while True:
        if stream is not None:
            next(stream)  # a hint that there is something; the numbered list is the truth
        while (found := trainq.events(after))["events"]:
            for event in found["events"]:
                after = event["seq"]
                show_event(event, document=as_json)
        if stream is None:
            return


def show_event(event: dict[str, Any], *, document: bool) -> None:
    if document:
        show_json(event)
        return
    what = f"job {event['id']} {event['state']}" if "id" in event else event["type"]
    click.echo(f"{event['seq']}\t{clock(event['at'])}\t{clean(what)}")
