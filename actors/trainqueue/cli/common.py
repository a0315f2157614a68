"""What the commands share: the client, JSON, sentences about jobs, and errors as exit codes."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trainqueue.cli.screen import clean
from trainqueue.errors import DaemonError, HomeHeldError, RequestError, TrainqError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trainqueue.client import Client
    from trainqueue.jobinfo import Job

DONE, REFUSED, USAGE, NO_DAEMON, NO_JOB, TIMED_OUT, INTERRUPTED = 0, 1, 2, 3, 4, 124, 130
"""The contract's exit codes."""
DIED, STOPPED, LOOK = 30.0, 5.0, 0.1
"""Seconds that a daemon may be away from those who wait: one that has died, and one that was stopped in order (to be
restarted, say; else nobody will start it); and between looks for it."""
SAFE = "What runs runs on, and what waits is safe on disk"
T = TypeVar("T")

as_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document (or one a line) with the wire's names."
)


def client() -> Client:
    from trainqueue.client import Client

    return Client(click.get_current_context().find_root().obj)


def explain(error: Exception) -> int:
    """Print one sentence and return the exit code."""
    if not isinstance(error, TrainqError | OSError):
        raise error
    if isinstance(error, RequestError):
        from trainqueue.cli.refusals import in_words

        complain(in_words(str(error)))
        return NO_JOB if error.code == "not-found" else REFUSED
    complain(str(error))
    return NO_DAEMON if isinstance(error, DaemonError | HomeHeldError) else REFUSED


def complain(sentence: str) -> None:
    click.echo(f"trainq-cli: {clean(sentence)}", err=True)


def show_json(value: object) -> None:
    click.echo(json.dumps(value, default=lambda data: data.decode(errors="replace")))


def flat(ids: Iterable[Sequence[int]]) -> list[int]:
    return list(dict.fromkeys(job for some in ids for job in some))


def ending(job: Job) -> str:
    """How a job has ended, as a sentence."""
    if job.state == "completed":
        return f"job {job.id} has completed"
    code = f"signal {job.signal}" if job.signal is not None else f"exit code {job.exit_code}"
    facts = [job.cause, None if job.signal is None and job.exit_code is None else code, job.message]
    told = ", ".join(fact for fact in facts if fact is not None)
    return f"job {job.id}: {job.state}" + (f" ({told})" if told else "")


def outlast(trainq: Client, action: Callable[[], T], deadline: float = math.inf) -> T:
    """`action`, begun again when a daemon comes back that was away. Raises DaemonError when none does in time."""
    while True:
        try:
            return action()
        except DaemonError as error:
            stopped = not trainq.home.endpoint_file.exists()  # who stops in order removes it
            patience, left = (STOPPED, "It was stopped, or has drained. ") if stopped else (DIED, "")
            complain(f"{error}. {left}{SAFE}; waiting up to {patience:.0f} s for a daemon to come back")
            await_daemon(trainq, min(deadline, time.monotonic() + patience))


def await_daemon(trainq: Client, deadline: float) -> None:
    """Raises DaemonError when none answers before the deadline (monotonic)."""
    while True:
        try:
            trainq.ping()
        except DaemonError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(LOOK)
        else:
            return


def filled(**fields: Any) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in fields.items() if value is not None}
