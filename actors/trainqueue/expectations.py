"""What is expected of jobs, as the wire shows it: what should have happened by now is expected now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainqueue.core.job import Pending, Queued, Running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainqueue.core.forecast import Expected
    from trainqueue.core.job import Job

COLUMNS = ("expected_start_at", "expected_start_range", "expected_end_at", "expected_end_range", "expected_gpu_ids")
"""Of the op `line`."""


def columns(rows: Sequence[Expected], now: float) -> dict[str, list[Any]]:
    """Of many waiting jobs, by field."""
    found: tuple[list[Any], ...] = (
        [_not_before(now, one.start) for one in rows],
        [_range(now, one.earliest, one.latest) for one in rows],
        [_not_before(now, one.end) for one in rows],
        [_range(now, one.end_earliest, one.end_latest) for one in rows],
        [one.gpu_ids for one in rows],
    )
    return dict(zip(COLUMNS, found, strict=True))


def fields(job: Job, expected: Expected, now: float) -> dict[str, Any]:
    """As the wire shows them."""
    start = start_range = end = end_range = gpu_ids = None
    if isinstance(job.state, Queued):
        start, start_range = _not_before(now, expected.start), _range(now, expected.earliest, expected.latest)
        gpu_ids = None if expected.gpu_ids is None else list(expected.gpu_ids)
    if isinstance(job.state, Queued | Pending | Running):
        end, end_range = _not_before(now, expected.end), _range(now, expected.end_earliest, expected.end_latest)
    return {
        "expected_start_at": start,
        "expected_start_range": start_range,
        "expected_end_at": end,
        "expected_end_range": end_range,
        "expected_gpu_ids": gpu_ids,
    }


def _not_before(now: float, at: float | None) -> float | None:
    return None if at is None else max(now, at)


def _range(now: float, earliest: float | None, latest: float | None) -> list[float | None] | None:
    if earliest is None and latest is None:
        return None
    return [_not_before(now, earliest), _not_before(now, latest)]
