"""Which of the numbers that a job tells go on the wire. Pure."""

from __future__ import annotations

import math

LARGEST = 2**63
"""A whole number on the wire is smaller."""


def number(value: object) -> float | None:
    """A finite one (a bool is none), a whole one beyond `LARGEST` as the real one next to it; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) < LARGEST:
        return value
    try:
        real = float(value)
    except OverflowError:
        return None
    return real if math.isfinite(real) else None
