"""Ten simulated days of mixed jobs on eight GPUs, under three policies. The months are in tests/bench/months.py."""

from __future__ import annotations

import pytest
from bench.months import KINDS, POLICIES, Month, Outcome, best, live, month

DAYS = 10.0
EXACT, TOO_LONG, MIXED = KINDS.values()


def all_live(kinds: tuple[float, float, float], *, every: int) -> tuple[Month, dict[str, Outcome]]:
    some = month(5, kinds, days=DAYS)
    return some, {name: live(some, walk, every=every) for name, walk in POLICIES.items()}


def longest(one: Outcome, *widths: int) -> float:
    return max(max(one.waits[width]) for width in widths)


def test_with_exact_limits_all_gpus_are_used_and_nobody_is_delayed() -> None:
    some, got = all_live(EXACT, every=6)
    ours, fifo, greedy = got.values()
    assert ours.done > 0.97 * best(some)
    assert ours.done > fifo.done
    assert not ours.delayed
    assert greedy.delayed, "else this month would show nothing"
    assert longest(ours, 8) < longest(greedy, 8)


@pytest.mark.parametrize("kinds", [TOO_LONG, MIXED])
def test_with_what_people_say_no_wide_job_is_starved_and_more_is_done_than_in_order(
    kinds: tuple[float, float, float],
) -> None:
    _, got = all_live(kinds, every=10**9)
    ours, fifo, _ = got.values()
    assert ours.done > 1.05 * fifo.done
    assert longest(ours, 8) < longest(fifo, 8)
    assert longest(ours, 4, 8) < longest(fifo, 4, 8)
