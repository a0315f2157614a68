"""How often jobs do not come to their end: they fail, or somebody cancels them, running or before.

Whoever waits behind such a job starts earlier. What part of the jobs ends early, and after what part of the usual time,
is learnt of all jobs and of each kind; a kind that has ended seldom yet is taken to be like the others.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from math import exp
from typing import TYPE_CHECKING, NamedTuple

from trainqueue.core import chances

if TYPE_CHECKING:
    from collections.abc import Sequence

USUAL, WEIGHT = 0.05, 20.0
"""This part of all jobs ends early, until so many have shown another one."""
OF_KIND = 10.0
"""For so many jobs of a kind all the others stand."""
MOST = 0.4
"""However many do."""
KEPT = 100
"""The last jobs that count: of all ten times as many."""
PARTS = (0.02, 0.1, 0.3, 0.7)
"""Of the usual time, after which they end: as good as nothing is known at first."""
KINDS = 4000


class Fate(NamedTuple):
    """What a job may come to: so likely it ends early, after one of these parts of its usual time, in order."""

    early: float = 0.0
    parts: tuple[float, ...] = PARTS

    def after(self, part: float) -> Fate:
        """Of a job that has come so far, of which the rest is looked at as a whole."""
        later = tuple(round((one - part) / (1 - part), 3) for one in self.parts if one > part) if part < 1 else ()
        return Fate(self.early * len(later) / len(self.parts), later or self.parts)


SURE = Fate(0.0)


class Fates:
    """What has become of the jobs, by kind."""

    def __init__(self) -> None:
        self._all: Counter[bool] = Counter()
        self._kinds: dict[object, Counter[bool]] = {}
        self._parts: list[float] = []
        self._shown: tuple[float, ...] = PARTS

    def ended(self, kind: object, *, early: bool, part: float | None = None, before_all: bool = False) -> None:
        """`part`: after what part of its usual time; None where nobody knows that. `before_all` that are known."""
        its = self._kinds.pop(kind, None) or Counter()
        self._kinds[kind] = its
        for counts, most in ((self._all, 10 * KEPT), (its, KEPT)):
            counts[early] += 1
            if counts.total() > most:
                counts[True], counts[False] = counts[True] // 2, counts[False] // 2
        while len(self._kinds) > KINDS:
            del self._kinds[next(iter(self._kinds))]
        if part is not None:
            fresh = [round(min(1.0, part), 3)]
            self._parts = ([*self._parts, *fresh] if before_all else [*fresh, *self._parts])[:KEPT]
            self._shown = tuple(sorted([*self._parts, *PARTS]))

    def of(self, kind: object) -> Fate:
        usual = (self._all[True] + USUAL * WEIGHT) / (self._all.total() + WEIGHT)
        its = self._kinds.get(kind, Counter[bool]())
        early = (its[True] + usual * OF_KIND) / (its.total() + OF_KIND)
        return Fate(min(MOST, round(early, 2)), self._shown)


@lru_cache(maxsize=512)
def factors(spread: float, fate: Fate, draws: int) -> tuple[float, ...]:
    """By rank, in parts of the usual time: of those that complete, and of some that do not."""
    early = round(draws * fate.early)
    whole = (exp(spread * rank) for rank in chances.ranks(draws - early))
    return tuple(sorted([*_some(fate.parts, early), *whole]))


def left(length: tuple[float, float], fate: Fate, ran: float, draws: int) -> list[float]:
    """The same of what is left of a run, in seconds; `length`: its usual time, and how widely that spreads."""
    parts = [part for part in fate.parts if part * length[0] > ran]
    likely = fate.early * len(parts) / len(fate.parts)
    lasts = (1 - fate.early) * chances.survives(*length, ran)
    early = round(draws * likely / (likely + lasts)) if likely else 0
    soon = [part * length[0] - ran for part in _some(parts, early)]
    return sorted([*soon, *chances.left(*length, ran, draws - early)])


def _some(parts: Sequence[float], many: int) -> list[float]:
    """Spread evenly over them."""
    return [parts[int((at + 0.5) / many * len(parts))] for at in range(many)]
