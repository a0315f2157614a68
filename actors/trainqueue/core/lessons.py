"""What ended jobs have taught, kind by kind: their runs are kept, and what they tell is worked out when asked for.

A kind is a number (shape.py). Each sort of kinds, such as the very same commands, has its own lessons, so that a sweep
of thousands of commands leaves the room of the others alone. The last used kinds stay, and so many runs in all that
they never take more than some megabytes, however many options there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.core.likeness import learn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainqueue.core.likeness import Likeness, Run

KINDS, RUNS = 2000, 3000
"""Kinds that are remembered, and runs of all of them."""
WEIGHT = 2.0
"""So many runs their prior spread stands for."""


class Lessons:
    """`prior`: how widely runs of a kind spread until they show it themselves; `kept`: how many of a kind count."""

    def __init__(self, prior: float, kept: int) -> None:
        self.prior, self.kept = prior, kept
        self._runs: dict[int, list[Run]] = {}
        """Of each kind the newest first; the kind that was used last is the last one."""
        self._total = 0
        self._under_way: Mapping[int, Sequence[Run]] = {}
        self._told: dict[int, Likeness] = {}

    def add(self, kind: int, run: Run) -> None:
        """The newest of all."""
        runs = self._runs.pop(kind, [])
        self._runs[kind] = [run, *runs][: self.kept]
        self._changed(kind, len(runs))

    def recall(self, kind: int, run: Run) -> None:
        """One that is older than all that are known."""
        runs = self._runs.setdefault(kind, [])
        if len(runs) < self.kept:
            runs.append(run)
            self._changed(kind, len(runs) - 1)

    def _changed(self, kind: int, had: int) -> None:
        self._told.pop(kind, None)
        self._total += len(self._runs[kind]) - had
        while len(self._runs) > KINDS or self._total > RUNS:
            oldest = next(iter(self._runs))
            self._total -= len(self._runs.pop(oldest))
            self._told.pop(oldest, None)

    def watch(self, under_way: Mapping[int, Sequence[Run]]) -> None:
        """What those that run are expected to take, by their own words; until the next time."""
        for kind in {*self._under_way, *under_way}:
            if self._under_way.get(kind) != under_way.get(kind):
                self._told.pop(kind, None)
        self._under_way = under_way

    def of(self, kind: int) -> Likeness | None:
        """What is known of this kind; None where nothing is."""
        if kind not in self._told:
            runs = [*self._under_way.get(kind, ()), *self._runs.get(kind, ())]
            return self.learn(kind, runs) if runs else None
        return self._told[kind]

    def learn(self, kind: int, runs: Sequence[Run]) -> Likeness:
        """From these, until there are others."""
        while len(self._told) >= KINDS:
            del self._told[next(iter(self._told))]
        told = self._told[kind] = learn(runs, self.prior, WEIGHT)
        return told
