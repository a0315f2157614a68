"""`events`: what has happened, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainqueue.cli import banner
from trainqueue.cli.common import as_json, client, outlast, show_json
from trainqueue.cli.lane import happened as lane_change
from trainqueue.cli.screen import clean, clock

if TYPE_CHECKING:
    from trainqueue.client import Client


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with those to come.")
@click.option(
    "--after", metavar="N", type=click.IntRange(0, 2**63 - 1), default=0, help="From this sequence number on."
)
@as_json
def events(follow: bool, after: int, as_json: bool) -> None:  # noqa: FBT001
    """What has happened, oldest first."""
    trainq = client()
    banner.look(trainq, document=as_json)
    after = show_events(trainq, after, document=as_json)

    def on() -> None:
        nonlocal after
        for _ in trainq.follow():  # a hint that there is something; the numbered list is the truth
            after = show_events(trainq, after, document=as_json)

    if follow:
        outlast(trainq, on)


def show_events(trainq: Client, after: int, *, document: bool) -> int:
    """All behind `after`, with a word where some are not kept any more; the number of the last."""
    while (page := trainq.events(after))["events"]:
        if page["first"] > after + 1:
            gone = f"events {after + 1} to {page['first'] - 1} are not kept any more: setting history.max_events"
            click.secho(gone, fg="yellow", err=True)
        for event in page["events"]:
            after = event["seq"]
            show_event(event, document=document)
    return after


def show_event(event: dict[str, Any], *, document: bool) -> None:
    if document:
        show_json(event)
        return
    click.echo(f"{event['seq']}\t{clock(event['at'])}\t{clean(happened(event))}")


def happened(event: dict[str, Any]) -> str:
    """In words; a daemon of later may tell of things that we do not know yet."""
    match event["type"]:
        case "job" | "moved":
            more = next((word for word in ("stopping", "preempting", "suspended", "held") if event.get(word)), "")
            more = "moved" if event["type"] == "moved" else more
            return f"job {event['id']} {event['state']}" + (f", {more}" if more else "")
        case "stalled":
            return f"job {event['id']} has stalled: {event['quiet']}"
        case "stirred":
            return f"job {event['id']} does something again"
        case "gpu":
            return gpu_change(event)
        case "queue":
            return mode(event)
        case "lane":
            return lane_change(event)
        case other:
            return str(other)


def gpu_change(event: dict[str, Any]) -> str:
    """Its news, which may be that it is well or that it is enabled: of both only the sum is told."""
    from trainqueue.cli.gpus import label, unhealthy

    if not event["healthy"]:
        return f"{label(event)} {unhealthy(event)}"
    return f"{label(event)} " + ("healthy, can be used" if event["enabled"] else "disabled")


def mode(event: dict[str, Any]) -> str:
    modes = " and ".join(name for name in ("paused", "draining") if event.get(name)) or "not paused"
    return f"queue {modes}" + (f", since {event['pause_reason']}" if event.get("pause_reason") else "")
