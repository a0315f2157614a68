"""What a job waits for, as options of `submit` and `run`."""

from __future__ import annotations

from typing import Any

import click

from trainqueue.cli.common import flat
from trainqueue.cli.fields import form
from trainqueue.cli.given import refuse
from trainqueue.cli.offers import known

JOBS = ("after", "after_any", "after_failed")
AWAIT_OPTIONS = [
    click.option(
        "--after", metavar="IDS", type=form("after"), multiple=True, help="Start after these have completed: 3,5-7."
    ),
    click.option(
        "--after-any",
        metavar="IDS",
        type=form("after_any"),
        multiple=True,
        help="Start after these have ended, however.",
    ),
    click.option(
        "--after-failed", metavar="IDS", type=form("after_failed"), multiple=True, help="Start after these have failed."
    ),
    click.option(
        "--after-group",
        shell_complete=known,
        metavar="GROUP",
        multiple=True,
        help="Start after all jobs that this group has now have completed; may be repeated.",
    ),
    click.option("--keep", is_flag=True, help="Hold it, instead of cancelling it, when that can no longer come true."),
]


def awaited(fields: dict[str, Any]) -> dict[str, Any]:
    """The options' values as fields of the JobSpec. Raises UsageError."""
    found: dict[str, Any] = {name: flat(fields[name]) for name in JOBS}
    found["after_group"] = [*dict.fromkeys(fields["after_group"])]
    if fields["keep"] and not any(found.values()):
        refuse("--keep is for a job that waits for others: give it with --after, --after-failed or --after-group")
    return found
