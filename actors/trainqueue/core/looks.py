"""Which looks at GPUs have been asked for and not been answered: nothing is asked twice, and nothing waits for ever.

The rule, which stands here alone: what is seen of a GPU starts a job on it, or proves it free, only as the answer to a
look that was asked for after the latest change there. A change is a proof that has begun, a lease taken or left, a
start wanted for another job. A look takes its time, seconds where the driver is slow, and may have read a GPU before a
job began there and be told after its end. So looks have numbers, from 1 on in each life of a daemon; the watch names
those that it had taken up before it began to read. A round of its own accord answers no look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.core.effects import Look

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

FIRST, LONGEST = 0.05, 5.0
"""Seconds to the next look where an answer has left a GPU out, which may mean that its driver is ill; doubling."""


def delay(tries: int, longest: float) -> float:
    """None for the first, then doubling."""
    return 0.0 if tries == 0 else min(longest, FIRST * 2 ** min(tries - 1, 20))


class Looks:
    """What is wanted in a step goes out at its end, one look for all that is wanted at the same moment."""

    def __init__(self) -> None:
        self._last = 0
        self._asked: dict[int, frozenset[str]] = {}
        """By number, those that are not answered."""
        self._wanted: dict[float, dict[str, None]] = {}
        self._since: dict[str, int] = {}
        """The first look that may prove something of this GPU: those before it were asked for before the change."""
        self._wishes: dict[str, int] = {}
        """The job for which a start on this GPU was wanted last."""
        self._tries: dict[str, int] = {}
        """Looks in a row that have told nothing of this GPU."""

    def changed(self, gpu: str) -> None:
        """What was asked for up to now says nothing of how it is from now on."""
        self._since[gpu] = self._last + 1

    def pending(self, gpu: str) -> bool:
        """Whether an answer is awaited that will count."""
        if any(gpu in some for some in self._wanted.values()):
            return True
        since = self._since.get(gpu, 0)
        return any(number >= since and gpu in some for number, some in self._asked.items())

    def want(self, gpu_ids: Collection[str], after: float) -> None:
        self._wanted.setdefault(after, {}).update(dict.fromkeys(gpu_ids))

    def want_start(self, job: int, gpu_ids: Collection[str]) -> None:
        """At all of them at once, unless some of them are being looked at: the answer decides again."""
        for gpu in gpu_ids:
            if self._wishes.get(gpu) != job:
                self._wishes[gpu] = job
                self.changed(gpu)
        if not any(self.pending(gpu) for gpu in gpu_ids):
            self.want(gpu_ids, delay(max(self._tries.get(gpu, 0) for gpu in gpu_ids), LONGEST))

    def answered(self, numbers: Iterable[int], told: Collection[str]) -> tuple[set[str], set[str]]:
        """The GPUs that these looks were asked for, and those of them of which the answer counts.

        They are over, whatever the answer says and leaves out; `told` are the GPUs whose processes it lists.
        """
        looked, counting = set[str](), set[str]()
        for number in numbers:
            gpus = self._asked.pop(number, frozenset())
            looked |= gpus
            counting |= {gpu for gpu in gpus if gpu in told and number >= self._since.get(gpu, 0)}
        for gpu in looked.difference(told):
            self._tries[gpu] = self._tries.get(gpu, 0) + 1
        for gpu in told:
            self._tries.pop(gpu, None)
        return looked, counting

    def take(self) -> list[Look]:
        """What is to be asked for now."""
        looks: list[Look] = []
        for after, gpus in self._wanted.items():
            self._last += 1
            self._asked[self._last] = frozenset(gpus)
            looks.append(Look(tuple(gpus), after, self._last))
        self._wanted = {}
        return looks
