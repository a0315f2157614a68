"""The daemon's refusals in the words of who typed the command: options and fields, not places in a message."""

from __future__ import annotations

import re

from trainqueue.cli.fields import FIELDS, option

SUBMITTED = re.compile(r"\$\.jobs\[(\d+)\]\.(\w+)(?:\[[^\]]*\])*")
SET = re.compile(r"\$\.set\.(\w+)(?:\[[^\]]*\])*")
ASKED = re.compile(r"^\$\.\w+: ")
"""Of one thing alone, the option that was typed, and the sentence says which."""
BOUNDS = (
    (re.compile(r"Expected `\w+` of length <= (\d+)"), r"it is too long, at most \1"),
    (re.compile(r"Expected `\w+` <= (\S+)"), r"it is at most \1"),
    (re.compile(r"Expected `\w+` >= (\S+)"), r"it is at least \1"),
)
"""What the types say; all else about them is found out here, before the daemon is asked."""


def in_words(message: str) -> str:
    """`$.jobs[0].memory_limit: …` is about --memory, and `$.set.gpus: …` about gpus."""
    message = SUBMITTED.sub(lambda found: option_of(found[2], int(found[1])), message)
    message = ASKED.sub("", SET.sub(lambda found: found[1], message))
    for jargon, plain in BOUNDS:
        message = jargon.sub(plain, message)
    return message


def option_of(field: str, at: int) -> str:
    named = option(field) if field in FIELDS else field
    return f"{named} (of job {at + 1} of these)" if at else named
