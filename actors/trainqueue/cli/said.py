"""What is expected of a job, and how far it is, in a few words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from trainqueue.core.words import duration

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST = ("loss", "train_loss", "eval_loss", "val_loss", "accuracy")
"""Metrics that people look at before all others."""


def starts(job: Mapping[str, Any], now: float) -> str:
    """Of a job that waits."""
    at = job.get("expected_start_at")
    if at is None:
        return "start unknown"
    return "starts now" if at <= now + 1 else f"starts in about {duration(at - now)}"


def left(job: Mapping[str, Any], now: float) -> str:
    """Of a job that runs: "about 2 h 5 left"; its own word where nobody else knows."""
    at, progress = job.get("expected_end_at"), job.get("progress") or {}
    if at is None and progress.get("eta") is not None:
        at = progress["eta"] + (progress.get("updated_at") or now)
    if at is None:
        return ""
    return "about to end" if at <= now + 1 else f"about {duration(at - now)} left"


def rate(per_second: float | None) -> str:
    """12.5/s; of slow steps how long one takes."""
    if not per_second or per_second < 0:
        return ""
    return f"{figure(per_second)}/s" if per_second >= 1 else f"{figure(1 / per_second)} s/step"


def figure(value: float) -> str:
    """With four digits, as long as these say what it is."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def steps(progress: Mapping[str, Any]) -> str:
    step, total = progress.get("step"), progress.get("total")
    if step is None:
        return ""
    return figure(step) if total is None else f"{figure(step)}/{figure(total)}"


def metric(progress: Mapping[str, Any]) -> str:
    """The one that people would look at first."""
    metrics = progress.get("metrics") or {}
    name = next((name for name in (*FIRST, *metrics) if name in metrics), None)
    return "" if name is None else f"{name} {figure(metrics[name])}"


def now() -> float:
    return time.time()
