"""The daemon's refusals in the words of who typed the command: options and fields, not places in a message."""

from __future__ import annotations

import re

from trainqueue.cli.fields import FIELDS, option

SUBMITTED = re.compile(r"\$\.jobs\[(\d+)\]\.(\w+)(?:\[[^\]]*\])*")
SET = re.compile(r"\$\.set\.(\w+)(?:\[[^\]]*\])*")


def in_words(message: str) -> str:
    """`$.jobs[0].memory_limit: …` is about --memory, and `$.set.gpus: …` about gpus."""
    message = SUBMITTED.sub(lambda found: option_of(found[2], int(found[1])), message)
    return SET.sub(lambda found: found[1], message)


def option_of(field: str, at: int) -> str:
    named = option(field) if field in FIELDS else field
    return f"{named} (of job {at + 1} of these)" if at else named
