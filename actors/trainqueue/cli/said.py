"""How far a job is, in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST = ("loss", "train_loss", "eval_loss", "val_loss", "accuracy")
"""Metrics that people look at before all others."""


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
