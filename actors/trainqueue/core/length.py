"""How long one job takes, as far as it is known: drawn again and again, by rank (chances.py)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf, sqrt
from typing import NamedTuple

from trainqueue.core import chances
from trainqueue.core.fates import SURE, Fate, factors


@dataclass(frozen=True, slots=True)
class Length:
    """`doubt` is about the middle itself, so it is the same for all jobs that are known from the same runs, `of`."""

    middle: float
    spread: float
    doubt: float = 0.0
    of: int = 0
    limit: float | None = None
    """It is ended then."""
    fate: Fate = SURE
    is_open: bool = False
    """Only how long it takes at the most is known for sure: it may end at any moment."""

    @property
    def wide(self) -> float:
        """Of both."""
        return sqrt(self.spread**2 + self.doubt**2)

    def draw(self, who: int, draws: int) -> list[float]:
        """What it takes in each draw, and behind them its median."""
        middle, ranks, most = self.middle, chances.order(draws, who), inf if self.limit is None else self.limit
        spreads, doubts = factors(self.spread, self.fate, draws), _doubts(self.doubt, self.of, draws)
        found = [middle * spreads[rank] * doubt for rank, doubt in zip(ranks, doubts, strict=True)]
        found.append(middle)
        return found if most >= max(found) else [min(most, seconds) for seconds in found]


@dataclass(frozen=True, slots=True)
class Limited:
    """A job of which nothing is known but its time limit: it may end at any moment before, and rather late.

    How far too long people's limits are is not known of any such job, so they all go by one order of ranks.
    """

    limit: float
    is_open = True

    def draw(self, who: int, draws: int) -> list[float]:
        """As of a Length."""
        del who
        times = [self.limit * min(1.0, 0.1 + 2 * (rank + 0.5) / draws) for rank in range(draws)]
        return [*[times[rank] for rank in chances.order(draws, 0)], self.limit]

    def left(self, ran: float, draws: int) -> list[float]:
        """By rank."""
        over = min(0.95, max(0.0, (ran / self.limit - 0.1) / 2))
        parts = (over + (rank + 0.5) / draws * (1 - over) for rank in range(draws))
        return [max(0.0, self.limit * min(1.0, 0.1 + 2 * part) - ran) for part in parts]


class Rest(NamedTuple):
    """Seconds that a running job has still to go, by rank, and its ranks draw by draw."""

    seconds: list[float]
    order: tuple[int, ...]
    is_open: bool = False
    """Only the latest end is known: it may end now."""


@lru_cache(maxsize=512)
def _doubts(doubt: float, of: int, draws: int) -> tuple[float, ...]:
    """By draw, the same for all that are in doubt about the same."""
    found = factors(doubt, SURE, draws)
    return tuple(found[rank] for rank in chances.order(draws, of))
