"""What is expected, in words."""

from __future__ import annotations

from typing import Any

import pytest

from trainqueue.core.forewords import duration, left, starts

NOW = 1_790_000_000.0
MIN, HOUR = 60.0, 3600.0


def waits(at: float | None, first: float | None = None, last: float | None = None) -> dict[str, Any]:
    between = None if first is None and last is None else [None if one is None else NOW + one for one in (first, last)]
    return {"state": "queued", "expected_start_at": None if at is None else NOW + at, "expected_start_range": between}


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (waits(None), "start unknown"),
        (waits(None, 60.0), "start unknown"),
        (waits(40 * MIN), "starts in about 40 min"),
        (waits(40 * MIN, 38 * MIN, 43 * MIN), "starts in about 40 min"),
        (waits(50 * MIN, 40 * MIN, 70 * MIN), "starts in 40 min to 1 h 10"),
        (waits(10 * MIN, 0.0, 40 * MIN), "starts within 40 min"),
        (waits(0.0, 0.0, 0.0), "starts now"),
        (waits(-300.0, -400.0, -200.0), "starts now"),
        (waits(3.0), "starts in about 3 s"),
        ({"state": "running", "expected_start_at": None}, ""),
        ({"state": "completed"}, ""),
    ],
)
def test_when_a_job_starts(job: dict[str, Any], said: str) -> None:
    assert starts(job, NOW) == said


@pytest.mark.parametrize(
    ("state", "at", "between", "said"),
    [
        ("running", NOW + 125 * MIN, None, "about 2 h 5 left"),
        ("running", NOW + 2 * HOUR, [NOW + HOUR, NOW + 4 * HOUR], "1 h to 4 h left"),
        ("pending", NOW + 30.0, [NOW + 29.0, NOW + 33.0], "about 30 s left"),
        ("running", NOW + HOUR, [NOW, NOW + HOUR], "at most 1 h left"),
        ("running", None, [NOW, None], "end unknown"),
        ("running", NOW - 5.0, None, "about to end"),
        ("queued", NOW + 5.0, None, ""),
        ("failed", None, None, ""),
    ],
)
def test_how_long_a_job_has_left(state: str, at: float | None, between: list[float | None] | None, said: str) -> None:
    assert left({"state": state, "expected_end_at": at, "expected_end_range": between}, NOW) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        *[(0.2, "1 s"), (19.0, "19 s"), (47.0, "45 s"), (89.0, "90 s"), (91.0, "2 min"), (59 * MIN, "59 min")],
        *[(59.7 * MIN, "1 h"), (70 * MIN, "1 h 10"), (187 * MIN, "3 h 5"), (24 * HOUR, "1 d"), (80 * HOUR, "3 d 8 h")],
    ],
)
def test_a_duration_is_as_exact_as_a_guess(seconds: float, said: str) -> None:
    assert duration(seconds) == said
