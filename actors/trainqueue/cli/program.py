"""Whether a job's program can be started at all, looked at before it is queued: hours later nobody sits there.

Only what is sure is refused, and only where the job waits for nothing that might still make it; of all else a word is
said, and it is queued.
"""

from __future__ import annotations

import os
from typing import Any

from trainqueue.cli.common import complain
from trainqueue.cli.given import refuse
from trainqueue.startable import LATER, doubt

WAITS = ("after", "after_any", "after_failed", "after_group", "not_before", "hold")
"""Fields of a job that others, or people, may get ready before it starts."""
NAMED = 3
"""Doubts that are said; those of a sweep may be many."""


def check(jobs: list[dict[str, Any]], defaults: dict[str, Any]) -> None:
    """Of each different one. Raises UsageError."""
    seen, doubts = set[tuple[str, str, str]](), dict[str, None]()
    for job in jobs:
        whole = {**defaults, **job}
        path = whole.get("env_extra", {}).get("PATH", whole["env"].get("PATH", os.defpath))
        if (asked := (whole["command"][0], whole["cwd"], path)) in seen:
            continue
        seen.add(asked)
        sentence, sure = doubt(*asked) or ("", False)
        if sure and not any(whole.get(field) for field in WAITS):
            refuse(f"{sentence}; nothing was queued")
        if sentence:
            doubts[sentence] = None
    for sentence in [*doubts][:NAMED]:
        complain(f"{sentence}; {LATER}")
    if len(doubts) > NAMED:
        complain(f"and so with {len(doubts) - NAMED} more")
