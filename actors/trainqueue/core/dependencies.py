"""Which job waits for which: `after` (it must complete), `after_failed` (it must not), `after_any`, `after_group`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainqueue.core.groups import Groups
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trainqueue.core.events import Known
    from trainqueue.core.job import Job, StateName
    from trainqueue.core.spec import JobSpec

FAILED = frozenset({"failed", "lost"})
"""What `after_failed` waits for. Somebody has wished for the end of a cancelled job: that is no failure."""
KINDS = ("after", "after_any", "after_failed")
SHOWN = 4
"""So many links of a circle are named at either end."""


def named(spec: JobSpec) -> tuple[int, ...]:
    """The jobs that it names, whatever for."""
    return (*spec.after, *spec.after_any, *spec.after_failed)


def is_met(spec: JobSpec, dep: int, state: StateName) -> bool:
    """Whether this end of `dep` is all that the job asked for."""
    if dep in spec.after and state != "completed":
        return False
    return dep not in spec.after_failed or state in FAILED


def same_for(before: JobSpec, spec: JobSpec, dep: int) -> bool:
    """Whether both ask the same of `dep`."""
    return all((dep in getattr(before, kind)) == (dep in getattr(spec, kind)) for kind in KINDS)


def still_met(job: Job, spec: JobSpec) -> frozenset[int]:
    """What the job has waited for and got, as far as it is what this spec asks for."""
    return frozenset(dep for dep in job.met if same_for(job.spec, spec, dep))


def asks_the_same(before: JobSpec, spec: JobSpec) -> bool:
    """Whether both wait for the same, and are waited for alike."""
    return all(getattr(before, field) == getattr(spec, field) for field in (*KINDS, "after_group", "group"))


@dataclass(frozen=True, slots=True)
class Wish:
    """What a job of this group is about to wait for: jobs, and the members of groups with ids below the bound."""

    job: int
    group: str | None
    jobs: frozenset[int]
    groups: frozenset[str]
    bound: int


class Dependencies:
    """Both directions between living jobs: `Job.waits_for`, and here who waits for a job."""

    def __init__(self, jobs: Mapping[int, Job]) -> None:
        """`jobs` are the core's own living jobs."""
        self._jobs = jobs
        self._dependents: dict[int, set[int]] = {}
        self.groups = Groups()

    def check(
        self, spec: JobSpec, known: Known, where: str, made: Collection[str] = (), before: Job | None = None
    ) -> None:
        """Raises RequestError ("not-found") naming the field, for a job or a group that nobody knows.

        `made` are the groups of the jobs that come with it. What the job has got `before` of one whose record is gone,
        it keeps, as long as it asks for nothing else of that.
        """
        got = frozenset[int]() if before is None else still_met(before, spec)
        for field, ids in (("after", spec.after), ("after_any", spec.after_any), ("after_failed", spec.after_failed)):
            for job in ids:
                if not (job in self._jobs or job in known.ended or job in got):
                    raise RequestError("not-found", f"{where}.{field}: there is no job {job}")
        for group in spec.after_group:
            if group not in self.groups and group not in known.groups and group not in made:
                raise RequestError("not-found", f"{where}.after_group: there is no job of a group {group!r}")

    def wish(self, job: Job, spec: JobSpec, bound: int | None) -> Wish:
        """`bound`: for its groups as they are now; None: for those that it waits for already."""
        jobs = frozenset(named(spec)) - still_met(job, spec)
        if bound is None:
            return Wish(job.id, spec.group, jobs, frozenset(job.waits_for_groups), job.bound)
        return Wish(job.id, spec.group, jobs, frozenset(spec.after_group), bound)

    def check_cycle(self, wish: Wish, where: str) -> None:
        """Raises RequestError ("conflict") with the chain, when the job would wait for itself in the end.

        Each job is looked at once, and each member of a group, however many wait for that group. A circle needs
        somebody who waits for the job, which most have not.
        """
        job = wish.job
        if job not in wish.jobs and not self._is_awaited(wish):
            return
        came_from: dict[int, int] = {}
        shown: dict[str, int] = {}
        todo = [(job, dep) for dep in sorted(wish.jobs)]
        for group in sorted(wish.groups):
            todo += [(job, dep) for dep in self._members(group, wish.bound, shown) if dep != job]
        while todo:
            waiter, dep = todo.pop()
            if dep == job:
                links = chain(job, waiter, came_from)
                raise RequestError("conflict", f"{where}: job {job} would wait for itself: {links}")
            if dep in came_from or dep not in self._jobs:
                continue
            came_from[dep] = waiter
            other = self._jobs[dep]
            todo += [(dep, far) for far in other.waits_for]
            for group in other.waits_for_groups:
                todo += [(dep, far) for far in self._members(group, other.bound, shown) if far != dep]
                if group == wish.group and job < other.bound:  # it may be about to become a member again
                    todo.append((dep, job))

    def may_wait_again(self, job: Job) -> bool:
        """For all of its groups: whether none of their members has come to wait for it, since it stopped to."""
        groups = frozenset(job.spec.after_group)
        try:
            self.check_cycle(Wish(job.id, job.spec.group, frozenset(job.waits_for), groups, job.bound), "")
        except RequestError:
            return False
        return True

    def _is_awaited(self, wish: Wish) -> bool:
        by_group = wish.group is not None and self.groups.is_awaited(wish.group, wish.job)
        return by_group or bool(self._dependents.get(wish.job))

    def _members(self, group: str, bound: int, shown: dict[str, int]) -> list[int]:
        """Those that have not been shown yet; `shown` says up to which id that is."""
        first = shown.get(group, 0)
        shown[group] = max(first, bound)
        return [*self.groups.between(group, first, bound)]

    def add(self, job: Job, ended: Mapping[int, StateName]) -> None:
        """A job with `keep` waits also for what has ended otherwise: somebody may retry that."""
        wanted = {*named(job.spec)}
        if wanted:
            over = {dep for dep in wanted if dep in ended and dep not in self._jobs}  # it may have begun again since
            job.met = (job.met & wanted) | {dep for dep in over if is_met(job.spec, dep, ended[dep])}
            job.waits_for = set()
            for dep in wanted - job.met - {job.id}:
                if dep in self._jobs or (job.spec.keep and dep in ended):
                    self._remember(job, dep)
        if job.waits_for_groups:
            self.groups.watch(job)

    def _remember(self, job: Job, dep: int) -> None:
        job.waits_for.add(dep)
        self._dependents.setdefault(dep, set()).add(job.id)

    def _forget(self, job: Job, dep: int) -> None:
        job.waits_for.discard(dep)
        waiting = self._dependents.get(dep, set())
        waiting.discard(job.id)
        if not waiting:
            self._dependents.pop(dep, None)

    def remove(self, job: Job) -> None:
        """It waits for nothing any more."""
        for dep in [*job.waits_for]:
            self._forget(job, dep)
        self.groups.forget(job)

    def keep(self, job: Job, dep: int) -> None:
        """It was let down by `dep`, which somebody may retry."""
        if dep in {*named(job.spec)} - job.met:
            self._remember(job, dep)

    def change(self, job: Job, spec: JobSpec) -> None:
        """It is about to get another spec, by which what it has waited for and got may not be what it wants."""
        self.remove(job)
        job.met = still_met(job, spec)

    def waive(self, job: Job, *, living: bool = False) -> None:
        """What has ended otherwise than asked counts as met; with `living`, all that it waits for does."""
        for dep in [dep for dep in job.waits_for if dep not in self._jobs]:
            self._forget(job, dep)
        if living:
            self.remove(job)
        job.met |= {*named(job.spec)} - job.waits_for - {job.id}

    def unknown(self, job: Job, known: Known) -> bool:
        """Whether the record of one that it waits for is gone: nobody knows then whether that has let it down."""
        return any(dep not in job.met and dep not in self._jobs and dep not in known.ended for dep in named(job.spec))

    def impossible(self, job: Job, spec: JobSpec, known: Known) -> tuple[int, StateName] | None:
        """A job that it waits for, or would by this spec, and that has ended otherwise already."""
        got = still_met(job, spec)
        for dep in (*spec.after, *spec.after_failed):
            state = known.ended.get(dep)
            if state is not None and dep not in self._jobs and dep not in got and not is_met(spec, dep, state):
                return dep, state
        bad = (known.groups.get(group) for group in spec.after_group)
        return next((found for found in bad if found is not None), None)

    def ended(self, job_id: int) -> list[Job]:
        """Those that waited for the job by its id, in order of their ids; they do so no more."""
        waiting = [self._jobs[other] for other in sorted(self._dependents.pop(job_id, ()))]
        for other in waiting:
            other.waits_for.discard(job_id)
        return waiting

    def let_down(self, job: Job) -> list[Job]:
        """Those that wait for it as one of its group, when it has not completed."""
        group = job.spec.group
        return [] if group is None else [self._jobs[other] for other in self.groups.waiting_for(group, job.id)]

    def relieved(self, group: str | None) -> list[Job]:
        """Those that have nobody left to wait for in this group; they do so no more."""
        if group is None:
            return []
        some = [self._jobs[job] for job in self.groups.relieved(group)]
        done = [job for job in some if not self.groups.count(job, group)]
        for job in done:
            self.groups.stop(job, group)
        return done


def chain(job: int, waiter: int, came_from: Mapping[int, int]) -> str:
    """3 -> 5 -> 3: who waits for whom, from the job to itself; of a long way both ends, and how many they are."""
    links = [job, waiter]
    while links[-1] != job:
        links.append(came_from[links[-1]])
    way = [*map(str, reversed(links[1:])), str(job)]
    if len(way) > 2 * SHOWN + 1:
        way[SHOWN:-SHOWN] = ["…"]
        way[-1] += f" ({len(links) - 1:,} jobs)"
    return " -> ".join(way)
