"""What people say about jobs that hang, and what they are told about them."""

from __future__ import annotations

import time
from typing import Any

import click

from trainqueue.cli.fields import form
from trainqueue.core.words import duration

STALL_OPTIONS = [
    click.option(
        "--stall-timeout",
        type=form("stall_timeout"),
        help="It has stalled when it does nothing for so long: no output, no progress, GPU and processor idle. "
        "0: never. Without it the settings say.",
    ),
    click.option(
        "--stall-action",
        type=form("stall_action"),
        help="Then show it and say so in an event (warn), or end it (stop). Without it the settings say (warn).",
    ),
]


def stalled(job: dict[str, Any]) -> str:
    """Stalled for 31 min: no output, no progress, GPU and processor idle. Empty for a job that has not."""
    if job.get("stalled_since") is None:
        return ""
    return f"stalled for {duration(max(0.0, time.time() - job['stalled_since']))}: {job.get('quiet') or ''}"
