"""How figures are said in sentences."""

from __future__ import annotations

DEFAULT_LANE = "default"
"""What people call the lane of jobs that name none."""


def size(count: float) -> str:
    """Bytes: 512 MiB, 6.1 GiB, 48 GiB."""
    if count < 2**30:
        return f"{count / 2**20:.0f} MiB"
    return f"{count / 2**30:.1f} GiB".replace(".0 GiB", " GiB")


def duration(seconds: float) -> str:
    """45 s, 12 min, 3 h 05 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


def percent(fraction: float) -> int:
    """Whole ones that are done: 29 at 29 of 100, and 100 not before all is."""
    return int(100 * fraction + 1e-9)


def number(count: int, noun: str) -> str:
    """1 GPU, 2 GPUs."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
