"""`bin/demo`: queue four real training runs in a throw-away home and see them through.

Exits with 0 only when three have completed and the one that is meant to crash has failed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainqueue import capture
from trainqueue.cli.screen import bar, table, took
from trainqueue.client import Client
from trainqueue.core.spec import JobSpec
from trainqueue.home import Home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.jobinfo import Job

SCRIPT = Path(__file__).resolve().parents[2] / "tests/programs/train_digits.py"
RUNS = {
    "lr-0.001": ("--lr", "0.001"),
    "lr-0.01": ("--lr", "0.01"),
    "crash": ("--lr", "10", "--crash-in-epoch", "2"),
    "lr-0.1": ("--lr", "0.1"),
}
PATIENCE = 0.2
"""Seconds between drawings where nothing happens."""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="trainq-demo-") as folder:
        home = Home(Path(folder) / "home")
        cli = [sys.executable, "-m", "trainqueue.cli", "--home", str(home.path)]
        # Where the demo is a job itself, its daemon ends with it, as it should.
        subprocess.run([*cli, "daemon", "start"], check=True, env=capture.outer_environment())
        try:
            with Client(home) as trainq:
                ended = watch(trainq, submit(trainq))
                good = results(trainq, ended)
        finally:
            subprocess.run([*cli, "daemon", "stop", "--cancel-jobs"], check=True)
    sys.exit(0 if good else 1)


def submit(trainq: Client) -> list[int]:
    made = trainq.submit(
        [
            JobSpec(
                name=name,
                command=(sys.executable, str(SCRIPT), *options),
                cwd=str(SCRIPT.parent),
                env=capture.environment()[0],
            )
            for name, options in RUNS.items()
        ]
    )
    for job in made:
        click.echo(f"job {job['id']}: {job['state']}" + (f" (position: {job['position']})" if job["position"] else ""))
    return [job["id"] for job in made]


def watch(trainq: Client, ids: list[int]) -> list[Job]:
    """Draw the queue whenever something happens, until the last job has ended."""
    live, shown = sys.stdout.isatty(), ""
    for _ in trainq.follow(("job.", "progress."), patience=PATIENCE):
        jobs = [trainq.status(job) for job in ids]
        text = "\n".join(line(job, live=live) for job in jobs)
        if text != shown:
            if live and shown:
                click.echo(f"\x1b[{len(ids)}F\x1b[J", nl=False)
            fresh = text if live else "\n".join(changed(shown, text))
            click.echo(fresh)
            shown = text
        if all(job.ended for job in jobs):
            return jobs
    raise AssertionError


def changed(before: str, after: str) -> Iterator[str]:
    known = set(before.split("\n"))
    return (one for one in after.split("\n") if one not in known)


def line(job: Job, *, live: bool) -> str:
    state = f"{job.state} (position: {job.position})" if job.position else job.state
    progress = job.progress or {}
    drawn = bar(progress.get("fraction")) if live or job.state != "running" else ""
    loss = progress.get("metrics", {}).get("loss") if live else None
    return f"{job.id}  {job.name:10} {state:24} {drawn} {f'loss {loss:.3f}' if loss else ''}".rstrip()


def results(trainq: Client, jobs: list[Job]) -> bool:
    """The table of results; whether all went as meant."""
    click.echo()
    rows: list[tuple[object, ...]] = []
    for job in jobs:
        log = trainq.log(job.id)["data"].decode()
        found = re.search(r"^accuracy=([\d.]+)$", log, re.MULTILINE)
        rows.append((job.id, job.name, job.state, job.exit_code, took(job.run_time), found[1] if found else None))
    table(("ID", "NAME", "STATE", "EXIT", "TIME", "ACCURACY"), rows)
    as_meant = {job.name: "failed" if job.name == "crash" else "completed" for job in jobs}
    return all(job.state == as_meant[job.name] for job in jobs) and all(
        row[-1] for row in rows if row[2] == "completed"
    )


if __name__ == "__main__":
    main()
