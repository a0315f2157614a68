"""What is expected of a job, as people read it in tables, in `status` and after a submit."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from trainqueue.cli.screen import clock
from trainqueue.core.forewords import left, starts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainqueue.jobinfo import Job

RANGES = ("expected_start_range", "expected_end_range")


def cell(job: Mapping[str, Any]) -> str:
    """In full; but a table on a terminal has no room to say that nobody knows, nor that what waits is to start."""
    now = time.time()
    said = starts(job, now) or left(job, now)
    if not sys.stdout.isatty():
        return said
    return "" if said.endswith("unknown") else said.removeprefix("starts ")


def told(job: dict[str, Any]) -> dict[str, Any]:
    """The job with its expectations in words: when, and in how long."""
    now = time.time()
    words = {"expected_start_at": starts(job, now), "expected_end_at": left(job, now)}
    shown = {name: "" if job.get(name) is None else clock(job[name]) for name in words}
    joined = {name: f"{shown[name]} ({said})" if shown[name] and said else said for name, said in words.items()}
    joined["expected_end_at"] = joined["expected_end_at"] or shown["expected_end_at"]
    return {**job, **joined, **dict.fromkeys(RANGES)}


def soon(job: Job) -> str:
    """After its position: when a fresh job is expected to start."""
    from msgspec.structs import asdict  # 12 ms, and tables need none of it

    words = starts(asdict(job), time.time())
    return f", {words}" if words else ""
