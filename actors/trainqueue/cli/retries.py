"""The options of `submit` and `run` for attempts that follow a failure by themselves."""

from __future__ import annotations

import click

from trainqueue.cli.fields import form
from trainqueue.cli.wordforms import Words

RETRY_OPTIONS = (
    click.option("--retries", type=form("retries"), help="Begin again so often after a cause: exit=2,reboot=3,lost=1."),
    click.option("--retry-delay", type=form("retry_delay"), help="Wait this long before the first retry: 30s, 5m."),
    click.option("--retry-backoff", type=form("retry_backoff"), help="Each further wait is so many times longer."),
    click.option("--retry-place", type=form("retry_place"), help="Its old place in the line (front), or the end."),
    click.option("--resume-args", metavar="TEXT", help="Appended from the second attempt on: '--resume auto'."),
)


def words(text: str | None) -> list[str] | None:
    """As a shell splits them. Raises UsageError."""
    if text is None:
        return None
    try:
        return Words().read(text)
    except ValueError as error:
        msg = f"--resume-args: {error}"
        raise click.UsageError(msg) from None
