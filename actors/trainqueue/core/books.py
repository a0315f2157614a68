"""What must agree at all times: the jobs and their counts, the line, the leases, who waits for whom, the alarms.

Each step of a job here keeps them all in agreement and says, as an effect, what is to be written down. Which step
is taken, and when, the core decides (arbiter.py).
"""

from __future__ import annotations

from collections import Counter
from copy import copy
from typing import TYPE_CHECKING

from trainqueue.core import events as ev
from trainqueue.core.alarms import Alarms
from trainqueue.core.dependencies import Dependencies
from trainqueue.core.job import Completed, Ended, Job, Queued
from trainqueue.core.leases import Leases
from trainqueue.core.line import GAP, Line
from trainqueue.core.outcome import unmet
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainqueue.core.job import State, StateName


class Books:
    """Waiting and active jobs; ended ones leave the memory as soon as the effect that writes them down is made."""

    def __init__(
        self,
        gpu_ids: Iterable[str],
        *,
        cpu_jobs: int = 1,
        next_id: int = 1,
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """`counts` are the ended jobs per state that the journal knows; living ones are counted as they come."""
        self.jobs: dict[int, Job] = {}
        self.line = Line()
        self.leases = Leases(gpu_ids, cpu_jobs)
        self.counts = Counter[str](counts or {})
        self.next_id = next_id
        self.next_rank = GAP
        self.alarms = Alarms()
        self._dependencies = Dependencies(self.jobs)
        self._voids: dict[int, int] = {}
        """How many runners in a row have died before they could start a job."""
        self._effects: list[ev.Effect] = []

    def load(self, jobs: Iterable[Job], ended: Mapping[int, StateName], now: float) -> None:
        """Waiting and active jobs as they were; `ended` holds the states of the others that they depend on."""
        self.jobs.update({job.id: job for job in jobs})  # all known first: a dependency may have been moved behind
        for job in self.jobs.values():
            self.counts[job.state.name] += 1
            self.next_rank = max(self.next_rank, job.rank + GAP)
            if isinstance(job.state, Queued):
                self._dependencies.add(job, ended)
                self._enqueue(job, now)
            else:
                self.leases.take(job.id, job.gpu_ids)

    def take_effects(self) -> list[ev.Effect]:
        effects, self._effects = self._effects, []
        return effects

    def active(self) -> list[Job]:
        """Pending and running jobs."""
        holders = {job for job in self.leases.holder.values() if job is not None} | self.leases.without_gpu
        return [self.jobs[job] for job in holders]

    # -- a job's steps

    def _become(self, job: Job, to: State) -> None:
        before = job.state.name
        job.become(to)
        self.counts[before] -= 1
        self.counts[to.name] += 1

    def _find(self, job: int) -> Job:
        if job not in self.jobs:
            raise RequestError("not-found", f"there is no waiting or running job {job}")
        return self.jobs[job]

    def _queued(self, job_id: int, verb: str) -> Job:
        job = self._find(job_id)
        if not isinstance(job.state, Queued):
            raise RequestError("conflict", f"job {job_id} is {job.state.name}; only a queued job can be {verb}")
        return job

    def ready(self, job: Job, now: float) -> bool:
        """Whether only its turn is missing. One that wants more GPUs than there are must not stop the others."""
        held = isinstance(job.state, Queued) and job.state.held
        possible = job.spec.gpus <= len(self.leases.present)
        return possible and not held and not job.waits_for and (job.spec.not_before or 0) <= now

    def _enqueue(self, job: Job, now: float) -> None:
        self.line.add(job, ready=self.ready(job, now))
        if job.spec.not_before is not None and job.spec.not_before > now:
            self.alarms.add(job.spec.not_before, job.id)

    def _leave_line(self, job: Job) -> None:
        self.line.remove(job)
        if job.spec.not_before is not None:
            self.alarms.discard(job.spec.not_before, job.id)

    def _requeue(self, job: Job, rank: int, ended: Mapping[int, StateName], now: float) -> None:
        self._become(job, Queued())
        job.attempt += 1
        job.progress = None
        job.rank = rank
        self.jobs[job.id] = job
        self._dependencies.add(job, ended)
        self._enqueue(job, now)
        self._effects.append(ev.Changed(copy(job)))

    def _fail_if_impossible(self, job: Job, ended: Mapping[int, StateName], now: float) -> None:
        for dep in job.spec.after:
            if isinstance(job.state, Queued) and ended.get(dep, "completed") != "completed":
                self._end(job, unmet(dep, now), now)

    def _end(self, job: Job, to: Ended, now: float) -> None:
        """End a job, free what it held, and then those that waited for it; a loop, since chains are long."""
        todo: list[tuple[Job, Ended]] = [(job, to)]
        while todo:
            job, to = todo.pop()
            if job.id not in self.jobs:
                continue  # it depended on two jobs that ended just now
            if isinstance(job.state, Queued):
                self._leave_line(job)
            self._voids.pop(job.id, None)
            self._dependencies.remove(job)
            self._become(job, to)
            self.leases.release(job.id)
            del self.jobs[job.id]
            self._effects.append(ev.Changed(copy(job)))
            for other in self._dependencies.ended(job.id):
                if job.id in other.spec.after and not isinstance(to, Completed):
                    todo.append((other, unmet(job.id, now)))
                else:
                    other.met |= {job.id}
                    self._leave_line(other)
                    self._enqueue(other, now)
                    self._effects.append(ev.Changed(copy(other)))
