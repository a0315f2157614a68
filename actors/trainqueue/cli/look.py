"""`status`, `queue`, `history`, `stats`, `events`: they look and change nothing."""

from __future__ import annotations

import math
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from trainqueue.cli import banner, expected, gauges
from trainqueue.cli.common import as_json, client, complain, outlast, show_json
from trainqueue.cli.fields import FIELDS, applies
from trainqueue.cli.forms import Id
from trainqueue.cli.given import refuse
from trainqueue.cli.lane import happened as lane_change
from trainqueue.cli.screen import clean, clock, table, took
from trainqueue.cli.select import ENDED, LIVING, PAGE, look, selecting, states_of, states_shown
from trainqueue.cli.select import shown as shown_jobs
from trainqueue.cli.stalls import stalled
from trainqueue.cli.unmatched import code, unmatched
from trainqueue.cli.watchoptions import watching
from trainqueue.sizes import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.cli.select import Selection
    from trainqueue.client import Client

FEW = 10
"""Jobs whose folders are looked at: each takes up to 0.3 seconds."""
CHANGED = 5
"""Names of changed files that are shown."""
SIZES = ("gpu_share", "peak_memory")
IDLE = "Nothing waits and nothing runs."
HEADS = ("ID", "STATE", "POSITION", "NAME", "TIME", "PROGRESS", "EXPECTED", "WHY")


def row(job: dict[str, Any], details: int = gauges.DETAILS) -> tuple[object, ...]:
    why = beside_position(job) or job["cause"] or told_to(job) or stalled(job)
    state = next((word for word in ("stopping", "preempting", "suspended") if job.get(word)), job["state"])
    shown = (took(job["run_time"]), gauges.cell(job, details), expected.cell(job))
    return (job["id"], state, job["position"], job["name"], *shown, why)


def beside_position(job: dict[str, Any]) -> str:
    """Why it waits, without what the column beside it says."""
    said: str = job["why"] or ""
    return said.removeprefix(f"position {job['position']} in the line").removeprefix("; ")


def show_queue(which: Selection, *, document: bool, limit: int | None = 100, as_tree: bool = False) -> None:
    """With no limit, all of it."""
    trainq = client()
    if which.filtered:
        found = selected(trainq, which, limit, document=document)
    else:
        found = whole(trainq) if limit is None else trainq.queue(limit)
    if document:
        show_json(found)
        return
    banner.say(found)
    jobs = [*found["running"], *found["queued"]]
    if as_tree:
        from trainqueue.cli import tree

        tree.show(jobs)
        say_more(found, limit)
    elif not jobs and sys.stdout.isatty():
        click.echo(clean(unmatched(trainq, which, states_of(which, LIVING))) if which.filtered else IDLE)
    else:
        table(HEADS, gauges.rows(HEADS, jobs, row), elastic=HEADS.index("NAME"))
        say_more(found, limit)


def say_more(found: dict[str, Any], limit: int | None) -> None:
    """Of waiting jobs that are not shown; on standard error, since what is read from a pipe is jobs."""
    more = found.get("matching", found["counts"].get("queued", 0)) - len(found["queued"])
    if limit is not None and more > 0:
        complain(f"{more:,} more {'waits' if more == 1 else 'wait'}; -n N shows so many")


def whole(trainq: Client) -> dict[str, Any]:
    """What the op `queue` tells, with all waiting jobs."""
    found = part = trainq.queue(PAGE)
    queued = {job["id"]: job for job in found["queued"]}
    offset = PAGE
    while len(part["queued"]) == PAGE:
        part = trainq.queue(PAGE, offset)
        queued |= {job["id"]: job for job in part["queued"]}  # one may have moved from page to page
        offset += PAGE
    running = {job["id"] for job in found["running"]}
    return found | {"queued": [job for job in queued.values() if job["id"] not in running]}


def selected(trainq: Client, which: Selection, limit: int | None, *, document: bool) -> dict[str, Any]:
    """What the op `queue` tells, of the selected jobs alone."""
    jobs = [*look(trainq, which, states_of(which, LIVING))][::-1]
    waiting = sorted((job for job in jobs if job["state"] == "queued"), key=in_line)
    running = [job for job in jobs if job["state"] != "queued"]
    shown = {"running": running, "queued": waiting[:limit]}
    return trainq.queue(1) | shown | ({} if document else {"matching": len(waiting)})


def in_line(job: dict[str, Any]) -> tuple[bool, int, int]:
    """Sorts as they start, those without a position behind."""
    return job["position"] is None, job["position"] or 0, job["id"]


@click.command()
@selecting(needed=False)
@click.option("--env", is_flag=True, help="Also its environment, secrets masked.")
@watching
@as_json
def status(which: Selection, env: bool, watch: bool, interval: float | None, as_json: bool) -> int:  # noqa: FBT001
    """The queue at a glance, or jobs in full."""
    if watch:
        from trainqueue.cli import watched

        if env:
            refuse("--env does not change; it has no --watch")
        watched.status(which, interval, document=as_json)
        return 0
    if not which.ids and not which.filtered:
        if env:
            msg = "--env shows the environment of a job: give its id"
            raise click.UsageError(msg)
        show_queue(which, document=as_json)
        return 0
    trainq = client()
    jobs = in_full(trainq, which, env=env)
    if not jobs:
        complain(unmatched(trainq, which, states_shown(which)))
    few = len(jobs) <= FEW
    jobs = [gauges.with_series(trainq, with_changes(job, look_at_files=few), ask=few, whole=as_json) for job in jobs]
    if as_json:
        show_json(jobs[0] if len(which.ids) == 1 and len(jobs) == 1 else jobs)
        return 0 if jobs else code(which)
    for at, job in enumerate(jobs):
        if at:
            click.echo()
        show_job(job)
    return 0 if jobs else code(which)


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


def told_to(job: dict[str, Any]) -> str | None:
    """What was ordered of a running job, and what that means for others."""
    if job.get("suspended"):
        return "keeps its GPUs and the memory there until `trainq-cli continue`"
    return "saves, ends, and waits in the line again" if job.get("preempting") else None


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


@click.command()
@click.option(
    "-n", "--limit", metavar="N", type=click.IntRange(1, 10_000), help="At most so many (default: 100; of a tree all)."
)
@click.option("--tree", is_flag=True, help="Each job below those that it waits for.")
@selecting(ids=False, needed=False)
@watching
@as_json
def queue(
    which: Selection,
    limit: int | None,
    tree: bool,  # noqa: FBT001
    watch: bool,  # noqa: FBT001
    interval: float | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Running and waiting jobs."""
    if watch:
        from trainqueue.cli import watched

        if tree:
            refuse("--tree and --watch: one of the two")
        watched.queue(which, interval, limit, document=as_json)
        return
    show_queue(which, document=as_json, limit=limit or (None if tree else 100), as_tree=tree)


@click.command()
@click.option(
    "-n", "--limit", metavar="N", type=click.IntRange(1, 10_000), default=30, help="At most so many (default: 30)."
)
@selecting(needed=False)
@click.option("--before", metavar="ID", type=Id(), help="Only older ones than this: the next page.")
@as_json
def history(which: Selection, limit: int, before: int | None, as_json: bool) -> None:  # noqa: FBT001
    """Ended jobs, newest first."""
    trainq = client()
    banner.look(trainq, document=as_json)
    several = look(trainq, which, states_of(which, ENDED), limit=limit + 1, before=before)
    jobs = [*islice(several, limit + 1)]
    found: dict[str, Any] = {"jobs": jobs[:limit], "more": len(jobs) > limit}
    if as_json:
        show_json(found)
        return
    rows = (
        (*(job[name] for name in ("id", "state", "exit_code", "cause", "name")), clock(job["ended_at"]), peak(job))
        for job in found["jobs"]
    )
    table(("ID", "STATE", "EXIT", "CAUSE", "NAME", "ENDED", "PEAK"), rows)
    if found["more"]:
        click.secho(f"There are more: trainq-cli history --before {found['jobs'][-1]['id']}", dim=True, err=True)


def peak(job: dict[str, Any]) -> str:
    """The most GPU memory that it was seen to use."""
    return size(job.get("peak_memory"))


@click.command()
@as_json
def stats(as_json: bool) -> None:  # noqa: FBT001
    """Counts, GPU seconds used, waited and lost."""
    trainq = client()
    found = trainq.call("stats")
    banner.look(trainq, document=as_json)
    if as_json:
        show_json(found)
        return
    counts, gpus = found.pop("counts"), found.pop("gpus", [])
    figures = ((name, f"{value:.1f}" if isinstance(value, float) else value) for name, value in found.items())
    table(("WHAT", "VALUE"), [*counts.items(), *figures])
    if gpus:
        click.echo()
        rows = (
            (gpu["index"], took(gpu["held"]), took(sum(gpu["idle"].values())), durations(gpu["idle"])) for gpu in gpus
        )
        table(("GPU", "HELD", "IDLE", "WHY"), rows, elastic=0)


def durations(seconds: dict[str, float]) -> str:
    """By reason, the longest first; what rounds to nothing is none."""
    ordered = sorted(((reason, spent) for reason, spent in seconds.items() if spent >= 1), key=lambda one: -one[1])
    return ", ".join(f"{reason} {took(spent)}" for reason, spent in ordered)


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
