"""What the owner of the machine has set for its GPUs and lanes. Sizes in bytes, durations in seconds (monotonic)."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  (dataclasses look it up)
from dataclasses import dataclass, field

from trainqueue.core.lanes import Lane

UNKNOWN_BASELINE = 2**30
"""Bytes that may be in use on an idle GPU without anybody who is listed, where nobody knows of more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`left_out` are indices (as text) or UUIDs of GPUs that nothing is started on until somebody enables them."""

    cpu_jobs: int = 1
    release_tolerance: int = 256 * 2**20
    """So much more than before may be in use after a job, and its memory still counts as given back."""
    release_timeout: float = 60.0
    """From a job's end until its GPU is called unhealthy, if the memory has not come back."""
    settle_time: float = 60.0
    """On a shared GPU the next job starts when the one before has reached its peak, or has run so long."""
    left_out: tuple[str, ...] = ()
    crash_guard_jobs: int = 0
    """Attempts in a row that fail at once, until the queue is paused; 0: never."""
    crash_guard_seconds: float = 10.0
    """What "at once" is."""
    lanes: Mapping[str, Lane] = field(default_factory=dict[str, Lane])
    """By name, those of the settings."""
