"""Attempts that follow a failure by themselves: which causes have one left, when it starts, and where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.core.job import Queued
from trainqueue.core.words import duration

if TYPE_CHECKING:
    from trainqueue.core.job import Cause, Job

LONGEST = 10 * 365 * 86400.0
"""Seconds; a back-off grows no further."""


def again(job: Job, cause: Cause, now: float) -> Queued | None:
    """How it waits for its next attempt, None when it has no more of them; the one that it gets is counted."""
    if job.retried.get(cause, 0) >= job.spec.retries.get(cause, 0):
        return None
    before = sum(job.retried.values())
    job.retried = {**job.retried, cause: job.retried.get(cause, 0) + 1}
    delay = pause(job.spec.retry_delay or 0.0, job.spec.retry_backoff, before)
    return Queued(until=now + delay if delay else None)


def pause(delay: float, backoff: float, before: int) -> float:
    """Seconds until the next attempt, after so many retries."""
    try:
        return min(LONGEST, delay * backoff**before)
    except OverflowError:
        return LONGEST if delay else 0.0


def is_due(job: Job, now: float) -> bool:
    """Whether no moment keeps it: neither its `not_before`, nor that of its retry."""
    at = moment(job)
    return at is None or at <= now


def moment(job: Job) -> float | None:
    """When it may start at the earliest (wall time); None where it may at any time."""
    until = job.state.until if isinstance(job.state, Queued) else None
    return max((at for at in (job.spec.not_before, until) if at is not None), default=None)


def backing_off(job: Job, now: float) -> str | None:
    """The sentence of a job that waits for its next attempt by itself, None for others."""
    until = job.state.until if isinstance(job.state, Queued) else None
    if until is None or until <= now:
        return None
    left = sum(max(0, most - job.retried.get(cause, 0)) for cause, most in job.spec.retries.items())
    return f"attempt {job.attempt} of at most {job.attempt + left} starts in {duration(until - now)}"
