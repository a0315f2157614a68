"""Which looks at GPUs have been asked for and not been answered: nothing is asked twice, and nothing waits for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.core.events import Look

if TYPE_CHECKING:
    from collections.abc import Collection

FIRST, LONGEST = 0.05, 5.0
"""Seconds to the next look where an answer has left a GPU out, which may mean that its driver is ill; doubling."""


def delay(tries: int, longest: float) -> float:
    """None for the first, then doubling."""
    return 0.0 if tries == 0 else min(longest, FIRST * 2 ** min(tries - 1, 20))


class Looks:
    """What is wanted in a step goes out at its end, one look for all that is wanted at the same moment."""

    def __init__(self) -> None:
        self._asked: list[frozenset[str]] = []
        self._wanted: dict[float, dict[str, None]] = {}
        self._tries: dict[str, int] = {}
        """Looks in a row that have told nothing of this GPU."""

    def pending(self, gpu: str) -> bool:
        return any(gpu in some for some in self._asked) or any(gpu in some for some in self._wanted.values())

    def want(self, gpu_ids: Collection[str], after: float) -> None:
        self._wanted.setdefault(after, {}).update(dict.fromkeys(gpu_ids))

    def want_together(self, gpu_ids: Collection[str]) -> None:
        """At all of them at once, unless some of them are being looked at: the answer decides again."""
        if not any(self.pending(gpu) for gpu in gpu_ids):
            self.want(gpu_ids, delay(max(self._tries.get(gpu, 0) for gpu in gpu_ids), LONGEST))

    def answered(self, told: Collection[str], *, all_of_them: bool) -> None:
        """A look has told of these GPUs; it ends the looks that asked for one of them, or all of them."""
        self._asked = [] if all_of_them else [some for some in self._asked if some.isdisjoint(told)]
        for gpu in told:
            self._tries.pop(gpu, None)

    def take(self) -> list[Look]:
        """What is to be asked for now."""
        looks = [Look(tuple(gpus), after) for after, gpus in self._wanted.items()]
        self._wanted = {}
        for look in looks:
            self._asked.append(frozenset(look.gpu_ids))
            for gpu in look.gpu_ids:
                self._tries[gpu] = self._tries.get(gpu, 0) + 1
        return looks
