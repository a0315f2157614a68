"""Which job waits for which: `after` (it must complete) and `after_any` (it must end)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainqueue.core.job import Job, StateName
    from trainqueue.core.spec import JobSpec


def met_by(spec: JobSpec, dep: int, ended: Mapping[int, StateName]) -> bool:
    """Whether the end of `dep` is what the job asked for."""
    return dep in ended and (dep not in spec.after or ended[dep] == "completed")


class Dependencies:
    """Both directions between living jobs: `Job.waits_for`, and here who waits for a job."""

    def __init__(self, jobs: Mapping[int, Job]) -> None:
        """`jobs` are the core's own living jobs."""
        self._jobs = jobs
        self._dependents: dict[int, set[int]] = {}

    def check(self, spec: JobSpec, ended: Mapping[int, StateName], where: str) -> None:
        """Raises RequestError ("not-found") naming the field, for a job that nobody knows."""
        for field, ids in (("after", spec.after), ("after_any", spec.after_any)):
            for job in ids:
                if job not in self._jobs and job not in ended:
                    raise RequestError("not-found", f"{where}.{field}: there is no job {job}")

    def check_cycle(self, job: int, spec: JobSpec) -> None:
        """Raises RequestError ("conflict") when the job would wait for itself in the end."""
        todo, seen = [*spec.after, *spec.after_any], set[int]()
        while todo:
            other = todo.pop()
            if other == job:
                raise RequestError("conflict", f"$.set.after: job {job} would wait for itself")
            if other not in seen and other in self._jobs:
                seen.add(other)
                todo += self._jobs[other].waits_for

    def add(self, job: Job, ended: Mapping[int, StateName]) -> None:
        wanted = {*job.spec.after, *job.spec.after_any}
        if wanted:
            job.met = (job.met & wanted) | {dep for dep in wanted if met_by(job.spec, dep, ended)}
            job.waits_for = {dep for dep in wanted - job.met - {job.id} if dep not in ended and dep in self._jobs}
        for dep in job.waits_for:
            self._dependents.setdefault(dep, set()).add(job.id)

    def remove(self, job: Job) -> None:
        """It waits for nothing any more."""
        for dep in job.waits_for:
            waiting = self._dependents.get(dep, set())
            waiting.discard(job.id)
            if not waiting:
                self._dependents.pop(dep, None)
        job.waits_for = set()

    def ended(self, job_id: int) -> list[Job]:
        """Those that waited for the job, in order of their ids; they do so no more."""
        waiting = [self._jobs[other] for other in sorted(self._dependents.pop(job_id, ()))]
        for other in waiting:
            other.waits_for.discard(job_id)
        return waiting
