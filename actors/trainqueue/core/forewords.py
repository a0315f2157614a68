"""What is expected, in words for people: "starts in about 40 min", "starts in 40 min to 1 h 10", "about 2 h 5 left".

From a Job as the wire shows it, so that the command line, the page and others say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AT_ONCE = 1.0
"""Seconds; whatever is as near is now."""
MATTERS = 0.25
"""A range is told where it is wider than this part of what lies in its middle, to either side..."""
LEAST = 10.0
"""... and than so many seconds."""


def starts(job: Mapping[str, Any], now: float) -> str:
    """Of a job that waits; "" for all others."""
    if job.get("state") != "queued":
        return ""
    said = _said(job.get("expected_start_at"), job.get("expected_start_range"), now)
    return {None: "start unknown", "": "starts now"}.get(said, f"starts {said}")


def left(job: Mapping[str, Any], now: float) -> str:
    """Of a job that runs; "" for all others."""
    if job.get("state") not in {"pending", "running"}:
        return ""
    said = _said(job.get("expected_end_at"), job.get("expected_end_range"), now)
    if not said:
        return "end unknown" if said is None else "about to end"
    return said.removeprefix("in ").replace("within", "at most") + " left"


def _said(at: float | None, between: Sequence[float | None] | None, now: float) -> str | None:
    """Such as "in about 40 min", "in 40 min to 1 h 10", "within 40 min"; "" for now, None where nobody knows."""
    if at is None:
        return None
    seconds, (first, last) = max(0.0, at - now), between or (at, at)
    early, late = max(0.0, (at if first is None else first) - now), max(seconds, (at if last is None else last) - now)
    least = max(LEAST, MATTERS * seconds)
    if late - early > 2 * least and duration(early) != duration(late):
        return f"within {duration(late)}" if early <= AT_ONCE else f"in {duration(early)} to {duration(late)}"
    return f"in about {duration(seconds)}" if seconds > AT_ONCE else ""


def duration(seconds: float) -> str:
    """As exact as a guess can be: 45 s, 12 min, 1 h 10, 3 d 4 h."""
    if seconds < 90:
        return f"{max(1, round(seconds) if seconds < 20 else 5 * round(seconds / 5))} s"
    minutes = round(seconds / 60)
    if minutes >= 120:
        minutes = 5 * round(minutes / 5)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes}" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
