"""Which jobs wait for whole groups (`after_group`): for the jobs that a group had at a moment, all of them.

The moment is kept as one number, `Job.bound`: the id that the next new job would have been given. So the members are
those with lower ids, a restart sees the same ones, and ten thousand jobs may wait for a group of ten thousand.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from sortedcontainers import SortedSet

from trainqueue.core.job import Queued

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainqueue.core.job import Job


def is_let_down(job: Job) -> bool:
    return isinstance(job.state, Queued) and bool(job.state.unmet)


class Groups:
    """Living members by group, and the jobs that wait for groups by their bounds."""

    def __init__(self) -> None:
        self._living: dict[str, SortedSet[int]] = {}
        self._waiters: dict[str, SortedSet[tuple[int, int]]] = {}
        """(bound, id) of those that wait for others than themselves."""
        self._told: dict[str, SortedSet[tuple[int, int]]] = {}
        """The same of those that are held since one of the group did not complete: that is said once."""
        self._inside: dict[str, SortedSet[tuple[int, int]]] = {}
        """The same of those that are members themselves, below their own bounds: never in the way of themselves."""

    def __contains__(self, group: str) -> bool:
        """Whether a job of it waits or runs."""
        return group in self._living

    def join(self, job: Job) -> None:
        """It waits or runs from now on."""
        group = job.spec.group
        if group is None:
            return
        if (
            group not in self._living
        ):  # a sorted set for each job of a sweep, to be thrown away, is half a submit's time
            self._living[group] = SortedSet()
        self._living[group].add(job.id)

    def leave(self, job: Job) -> None:
        """It has ended, or is about to be given another group."""
        group = job.spec.group
        if group in self._living:
            self._living[group].discard(job.id)
            if not self._living[group]:
                del self._living[group]

    def members(self, job: Job, group: str) -> list[int]:
        """The living jobs of it that the job waits for, by id."""
        return [other for other in self.between(group, 0, job.bound) if other != job.id]

    def between(self, group: str, first: int, bound: int) -> Iterable[int]:
        """Living members with ids from the first on and below the bound."""
        return self._living.get(group, SortedSet()).irange(first, bound - 1)

    def count(self, job: Job, group: str) -> int:
        """How many those are."""
        living = self._living.get(group)
        if not living:
            return 0
        itself = job.id < job.bound and job.id in living
        return living.bisect_left(job.bound) - itself

    def newest(self, group: str, bound: int) -> int:
        """The last living member below the bound; 0 where there is none."""
        return next(self._living.get(group, SortedSet()).irange(None, bound - 1, reverse=True), 0)

    @staticmethod
    def bind(job: Job, bound: int) -> None:
        """It is to wait for all of its groups: for those of their jobs with ids below the bound."""
        job.waits_for_groups = {*job.spec.after_group}
        job.bound = bound if job.waits_for_groups else 0

    def watch(self, job: Job) -> None:
        """Have it told when one of its groups has nobody left; of those that have nobody now it needs no word."""
        for group in job.waits_for_groups:
            self._leave_sides(job, group)
        job.waits_for_groups = {group for group in job.waits_for_groups if self.count(job, group)}
        for group in job.waits_for_groups:
            self._side(job, group).add((job.bound, job.id))
        self._settle(job)

    def stop(self, job: Job, group: str) -> None:
        """It waits for this group no more."""
        self._leave_sides(job, group)
        job.waits_for_groups = job.waits_for_groups - {group}
        self._settle(job)

    def _leave_sides(self, job: Job, group: str) -> None:
        for side in (self._waiters, self._told, self._inside):
            if group in side:
                side[group].discard((job.bound, job.id))
                if not side[group]:
                    del side[group]

    def forget(self, job: Job) -> None:
        """It waits for none."""
        for group in job.waits_for_groups:
            self.stop(job, group)

    @staticmethod
    def _settle(job: Job) -> None:
        """What it has waited for and got is no concern of it any more, whoever of them is retried.

        One that was let down has not got it: whoever let it down may be retried, and others of the group with him.
        """
        if not (job.waits_for_groups or is_let_down(job)):
            job.bound = 0

    def _side(self, job: Job, group: str) -> SortedSet[tuple[int, int]]:
        member = job.spec.group == group and job.id < job.bound
        side = self._inside if member else self._told if is_let_down(job) else self._waiters
        return side.setdefault(group, SortedSet())

    def waiting_for(self, group: str, member: int) -> list[int]:
        """The jobs that wait for this member of it, and have not been told of another that did not complete."""
        sides = (side.get(group, SortedSet()) for side in (self._waiters, self._inside))
        return sorted(job for side in sides for _, job in side.irange((member + 1, 0)) if job != member)

    def is_awaited(self, group: str, member: int) -> bool:
        """Whether another job waits for it as one of this group."""
        sides = (side.get(group, SortedSet()) for side in (self._waiters, self._told, self._inside))
        return any(job != member for side in sides for _, job in side.irange((member + 1, 0)))

    def relieved(self, group: str) -> list[int]:
        """Candidates for having nobody left to wait for: all of whom nobody below their bounds lives, perhaps more."""
        living = self._living.get(group)
        first = living[0] if living else None
        last = None if first is None else (first, 2**63)
        free = [side.get(group, SortedSet()).irange(None, last) for side in (self._waiters, self._told)]
        return [job for _, job in chain(*free, self._inside.get(group, ()))]
