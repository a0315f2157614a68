"""`status`, `queue`, `history`, `stats`: they look and change nothing. One job in full is shown by onejob.py."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from trainqueue.cli import banner, expected, gauges
from trainqueue.cli.common import as_json, client, complain, show_json
from trainqueue.cli.forms import Id
from trainqueue.cli.given import refuse
from trainqueue.cli.onejob import durations, in_full, show_job, with_changes
from trainqueue.cli.screen import clean, clock, table, took
from trainqueue.cli.select import ENDED, LIVING, PAGE, look, selecting, states_of, states_shown
from trainqueue.cli.stalls import stalled
from trainqueue.cli.unmatched import code, unmatched
from trainqueue.cli.watchoptions import watching
from trainqueue.sizes import size

if TYPE_CHECKING:
    from trainqueue.cli.select import Selection
    from trainqueue.client import Client

FEW = 10
"""Jobs whose folders are looked at: each takes up to 0.3 seconds."""
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


def told_to(job: dict[str, Any]) -> str | None:
    """What was ordered of a running job, and what that means for others."""
    if job.get("suspended"):
        return "keeps its GPUs and the memory there until `trainq-cli continue`"
    return "saves, ends, and waits in the line again" if job.get("preempting") else None


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
