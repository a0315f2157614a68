"""`logs` and `wait`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from trainqueue.cli.common import NO_JOB, REFUSED, TIMED_OUT, Duration, Ids, as_json, client, flat, show_json

if TYPE_CHECKING:
    from trainqueue.client import Client

PAUSE = 0.2
"""Seconds between looks at a log that does not grow."""


def stream(trainq: Client, job: int, offset: int = 0) -> None:
    """Copy the log to standard output until the attempt has ended and all is shown."""
    while True:
        part = trainq.log(job, offset=offset)
        sys.stdout.buffer.write(part["data"])
        sys.stdout.buffer.flush()
        offset = part["next"]
        if part["eof"]:
            return
        if not part["data"]:
            time.sleep(PAUSE)


def last_lines(trainq: Client, job: int, lines: int) -> int:
    """The offset at which the last `lines` lines begin."""
    size: int = trainq.log(job, offset=-1, limit=1)["size"]
    tail, step = b"", 64 * 1024
    while size > len(tail) and tail.rstrip(b"\n").count(b"\n") < lines:
        start = max(0, size - len(tail) - step)
        tail = trainq.log(job, offset=start, limit=size - len(tail) - start)["data"] + tail
        step *= 2
    kept = tail.rstrip(b"\n").split(b"\n")[-lines:] if lines else []
    return size - len(b"\n".join(kept)) - (len(tail) - len(tail.rstrip(b"\n"))) if kept else size


@click.command()
@click.argument("job", type=click.IntRange(min=1))
@click.option("-f", "follow", is_flag=True, help="Go on until the job has ended.")
@click.option("-n", "lines", type=click.IntRange(min=0), help="Only the last N lines.")
@as_json
def logs(job: int, follow: bool, lines: int | None, as_json: bool) -> None:  # noqa: FBT001
    """A job's output, also of one that has not started yet."""
    trainq = client()
    offset = 0 if lines is None else last_lines(trainq, job, lines)
    if follow and not as_json:
        stream(trainq, job, offset)
        return
    while True:
        part = trainq.log(job, offset=offset)
        if as_json:
            show_json(part)
        else:
            sys.stdout.buffer.write(part["data"])
        offset = part["next"]
        if offset >= part["size"]:
            return


@click.command()
@click.argument("ids", type=Ids(), nargs=-1, required=True)
@click.option("--timeout", type=Duration(), help="Give up after this long, with exit code 124.")
@as_json
def wait(ids: tuple[list[int], ...], timeout: float | None, as_json: bool) -> int:  # noqa: FBT001
    """Until the jobs have ended. One job: its own exit code; several: 1 if any did not complete."""
    from trainqueue.errors import RequestError

    jobs = flat(ids)
    try:
        ended = client().wait(jobs, timeout)
    except TimeoutError:
        click.echo("trainq-cli: not all have ended; they go on", err=True)
        return TIMED_OUT
    except RequestError as error:
        click.echo(f"trainq-cli: {error}", err=True)
        return NO_JOB if error.code == "not-found" else REFUSED
    if as_json:
        import msgspec

        show_json(msgspec.to_builtins(ended))
    if len(ended) == 1:
        return ended[0].status
    return int(any(job.state != "completed" for job in ended))
