"""`submit` of an array or a sweep: one message, one answer; and `--dry-run`, which sends none."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

import click

from trainqueue.cli import banner, program
from trainqueue.cli.common import client, show_json
from trainqueue.cli.given import refuse
from trainqueue.cli.screen import clean
from trainqueue.cli.submit import absolute, say_if_hopeless, specification, surrounding
from trainqueue.cli.sweep import Sweep, Templates, asked, stem
from trainqueue.core.words import DEFAULT_LANE

SHOWN = 3
"""Commands that a dry run shows at either end."""
DIFFERENT = ("command", "tags", "name", "cwd", "env_extra", "resume_args")
"""Fields that the jobs of a sweep may have of their own."""


def submit(fields: dict[str, Any], options: dict[str, Any], *, as_json: bool) -> None:
    from trainqueue.cli.daemon import ensure
    from trainqueue.settings import load

    start = not fields.pop("no_start")
    sweep = asked(options, load().queue.max_sweep)
    jobs, defaults = drafts(fields, sweep)
    program.check(jobs, defaults)
    if options["dry_run"]:
        show_plan(jobs, defaults, as_json=as_json)
        return
    if start:
        ensure()
    trainq = client()
    if fields["snapshot"]:
        from trainqueue.cli.snapshot import frozen

        with frozen(trainq, jobs, defaults):
            made = trainq.submit(jobs, defaults=defaults)
    else:
        made = trainq.submit(jobs, defaults=defaults)
    if as_json:
        show_json(made)
        return
    if sys.stdout.isatty():
        click.echo(clean(f"{told([job['id'] for job in made])} (group {defaults['group']})"))
    else:
        click.echo("\n".join(str(job["id"]) for job in made))
    if made[0]["state"] in {"queued", "cancelled"} and not made[0]["position"]:
        say_if_hopeless(trainq, made[0])
    banner.look(trainq, lanes={fields["lane"] or DEFAULT_LANE})


def told(ids: list[int]) -> str:
    count = "1 job" if len(ids) == 1 else f"{len(ids)} jobs"
    return f"{count} queued: {ids[0] if len(ids) == 1 else f'{ids[0]}-{ids[-1]}'}"


def drafts(fields: dict[str, Any], sweep: Sweep | None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What each job has of its own, and what they share. Raises UsageError."""
    if sweep is None:
        spec = specification(fields)
        return [{name: spec.pop(name) for name in DIFFERENT if name in spec}], spec
    templates, tags = Templates(fields, sweep), dict(fields["tags"])
    clash = next((name for name in sweep.names if name in tags), None)
    if clash is not None:
        refuse(f"each job gets the tag {clash} with its value: --tag {clash} cannot be another")
    group = fields["group"] or f"{stem(fields['command'], fields['name'])}-{os.urandom(4).hex()}"
    alike = {"name": templates.name, "cwd": templates.cwd}
    shared = {name: None if text is None or text.names else text.fill({}) for name, text in alike.items()}
    env = [(name, text.fill({})) for name, text in templates.env.items() if not text.names]
    own = {"command": fields["command"], "resume_args": None}
    defaults = specification({**fields, **shared, "cwd": shared["cwd"] or ".", "env": env, "group": group, **own})
    jobs = [templates.fill(values, tags) for values in sweep.values()]
    for job in jobs:
        if "cwd" in job:
            job["cwd"] = absolute(job["cwd"])
            job["snapshot"] = surrounding(job["cwd"])
    for name in ("command", "tags"):
        del defaults[name]
    return jobs, defaults


def show_plan(jobs: list[dict[str, Any]], defaults: dict[str, Any], *, as_json: bool) -> None:
    """What would be queued, in the order of its start; checked here as the daemon checks it. Raises RequestError."""
    whole = [{**defaults, **job} for job in jobs]
    refuse_wrong(whole)
    group = defaults.get("group")
    if as_json:
        shown = [{name: value for name, value in job.items() if name != "env"} for job in whole]
        show_json({"count": len(jobs), "group": group, "jobs": shown})
        return
    in_group = f" (group {group})" if group else ""
    click.echo(clean(f"would queue {'1 job' if len(jobs) == 1 else f'{len(jobs)} jobs'}{in_group}:"))
    width = len(str(len(jobs)))
    for at, job in enumerate(whole, 1):
        if at <= SHOWN or at > len(jobs) - SHOWN:
            name = f"{job['name']}: " if "name" in job else ""
            click.echo(clean(f"  {at:>{width}}  {name}{shlex.join(job['command'])}"))
        elif at == SHOWN + 1:
            click.echo(f"  {'…':>{width}}")


def refuse_wrong(whole: list[dict[str, Any]]) -> None:
    """Raises RequestError naming the field."""
    import msgspec

    from trainqueue.core.spec import JobSpec, check_all
    from trainqueue.errors import RequestError
    from trainqueue.wire import plain

    try:
        check_all(msgspec.convert(tuple(whole), tuple[JobSpec, ...]), "$.jobs")
    except msgspec.ValidationError as error:
        raise RequestError("bad-request", plain(error).replace("$", "$.jobs", 1)) from None
