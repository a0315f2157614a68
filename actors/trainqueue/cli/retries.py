"""The options of `submit` and `run` for attempts that follow a failure by themselves."""

from __future__ import annotations

import shlex

import click

from trainqueue.cli.forms import Duration, Retries

RETRY_OPTIONS = (
    click.option("--retries", type=Retries(), help="Begin again so often after a cause: exit=2,reboot=3,lost=1."),
    click.option("--retry-delay", type=Duration(), help="Wait this long before the first retry: 30s, 5m."),
    click.option("--retry-backoff", type=click.FloatRange(1, 1000), help="Each further wait is so many times longer."),
    click.option(
        "--retry-place", type=click.Choice(["front", "back"]), help="Its old place in the line (front), or the end."
    ),
    click.option("--resume-args", metavar="TEXT", help="Appended from the second attempt on: '--resume auto'."),
)


def words(text: str | None) -> list[str] | None:
    """As a shell splits them. Raises UsageError."""
    if text is None:
        return None
    try:
        return shlex.split(text)
    except ValueError as error:
        msg = f"--resume-args {text!r} cannot be split into words: {error}"
        raise click.UsageError(msg) from None
