"""What must agree at all times: the jobs and their counts, the line, the leases, the GPUs, dependencies, alarms.

Each step of a job here keeps them all in agreement and says, as an effect, what is to be written down. Which step
is taken, and when, the core decides (arbiter.py).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.alarms import Alarms
from trainqueue.core.board import Board
from trainqueue.core.dependencies import Dependencies, is_met, named
from trainqueue.core.gates import Gates
from trainqueue.core.job import Cancelled, Completed, Ended, Job, Queued, Running
from trainqueue.core.lanes import Lanes
from trainqueue.core.leases import Leases
from trainqueue.core.limits import Limits
from trainqueue.core.line import GAP, Line, place
from trainqueue.core.looks import Looks
from trainqueue.core.needs import Need, Needs
from trainqueue.core.outcome import unmet
from trainqueue.core.past import NoPast
from trainqueue.core.plans import Plans
from trainqueue.core.retries import is_due, moment
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainqueue.core.groups import Groups
    from trainqueue.core.job import State, StateName
    from trainqueue.core.lanes import Choice
    from trainqueue.core.line import Place
    from trainqueue.core.past import Past


class Books:
    """Waiting and active jobs; ended ones leave the memory as soon as the effect that writes them down is made."""

    def __init__(
        self,
        gpu_ids: Iterable[str],
        *,
        cpu_jobs: int | None = None,
        next_id: int = 1,
        counts: Mapping[str, int] | None = None,
        limits: Limits | None = None,
        past: Past | None = None,
    ) -> None:
        """`counts` are the ended jobs per state that the journal knows; living ones are counted as they come.

        `gpu_ids` are of GPUs that are not measured; real ones come to be known when they are seen. `cpu_jobs`, where
        given, goes before the limits.
        """
        self.limits, self.past = limits or Limits(), past or NoPast()
        self.jobs: dict[int, Job] = {}
        self.line = Line()
        self.lanes = Lanes(self.limits.lanes)
        self.gates = Gates(self.line, self.lanes)
        self.leases = Leases(self.limits.cpu_jobs if cpu_jobs is None else cpu_jobs)
        self.board = Board(gpu_ids, self.leases, self.limits)
        self.needs = Needs(self.board)
        self.counts = Counter[str](counts or {})
        self.paused = False
        self.pause_reason: str | None = None
        """What has paused it, as in "paused since ..."; None for a person or program, who know it themselves."""
        self.paused_since: float | None = None
        """Wall time; None also where an older daemon has been paused."""
        self.draining = False
        self.blocked: str | None = None
        self.next_id = next_id
        self.next_rank = GAP
        self.alarms = Alarms()
        self._dependencies = Dependencies(self.jobs)
        self._let_down_by: dict[int, set[int]] = {}
        """The jobs that are held since this one has not ended as they asked: it may be retried."""
        self._voids: dict[int, int] = {}
        """How many runners in a row have died before they could start a job."""
        self._errors: dict[int, dict[str, None]] = {}
        """What the driver has reported of the GPUs of a job while it ran."""
        self.looks = Looks()
        self.plans = Plans(self.line)
        self.fresh: set[str] = set()
        """The GPUs whose processes the step under way has told."""
        self.started: list[tuple[str, ...]] = []
        """What the step under way has given to jobs."""
        self.keeping: dict[str, int] | None = None
        """What the placement has reserved, once somebody has asked for it since the last step."""
        self.barring: dict[Need, tuple[str, str] | None] = {}
        """What keeps jobs that ask for that from starting, as far as somebody has asked since the last step."""
        self.now = 0.0
        """Of the last event, wall time."""
        self._effects: list[fx.Effect] = []

    def load(self, jobs: Iterable[Job], ended: Mapping[int, StateName], now: float) -> None:
        """Waiting and active jobs as they were; `ended` holds the states of the others that they depend on."""
        self.jobs.update({job.id: job for job in jobs})  # all known first: a dependency may have been moved behind
        for job in self.jobs.values():
            self._dependencies.groups.join(job)
        for job in self.jobs.values():
            self.counts[job.state.name] += 1
            self.next_rank = max(self.next_rank, job.rank + GAP)
            if isinstance(job.state, Queued):
                self._dependencies.add(job, ended)
                self._enqueue(job, now)
            else:
                self._hold_gpus(job, job.gpu_ids, getattr(job.state, "share", None))
                self._settle_later(job)

    def groups(self) -> Groups:
        """Who waits for which group."""
        return self._dependencies.groups

    def next(self, some: int) -> list[Job]:
        """Those that start next, as far as it is easy to know: so many at most of the line, and who waits at a gate.

        One more than `some` where the line is long enough: an end in a lane or group lets in the first at its gate.
        """
        first = self.line.next(some)
        return first + self.gates.upcoming(max(1, some - len(first)))

    def stands(self, job: int) -> tuple[bool, Place]:
        """Sorts jobs in the order in which they wait, whether they have positions or not; others come last."""
        waits = isinstance(getattr(self.jobs.get(job), "state", None), Queued)
        return not waits, place(self.jobs[job]) if waits else (0, 0, job)

    def take_effects(self) -> list[fx.Effect]:
        effects, self._effects = self._effects, []
        return effects

    def active(self) -> list[Job]:
        """Pending and running jobs."""
        return [self.jobs[job] for job in self.leases.jobs()]

    def may_start(self) -> bool:
        return not (self.paused or self.draining or self.blocked)

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

    def _hold_gpus(self, job: Job, gpu_ids: tuple[str, ...], share: int | None) -> None:
        """Raises LeaseError, before any change."""
        self.leases.take(job.id, gpu_ids, share)
        for gpu in gpu_ids:
            self.board.expect(gpu)
        self.gates.hold(job)
        self._gpus_changed(gpu_ids)

    def _free_gpus(self, job: Job) -> None:
        """They go to the next job when they are seen to be free; that has its time."""
        gpu_ids = self.leases.release(job.id)
        self.gates.free(job)
        self._gpus_changed(gpu_ids)
        for gpu in gpu_ids:
            proof = self.board.vacate(gpu, job)
            if proof is not None:
                self._effects.append(proof)

    def _gpus_changed(self, gpu_ids: tuple[str, ...]) -> None:
        """A lease of them has been taken or left."""
        for gpu in gpu_ids:
            self.looks.changed(gpu)
        if gpu_ids:
            self.plans.slots_changed()

    def _end_expected_anew(self, job: Job) -> None:
        if job.gpu_ids:
            self.plans.ends_changed()

    def _settle_later(self, job: Job) -> None:
        """A job that shares its GPUs has begun, or was found running: others may join it when it has had its time."""
        if isinstance(job.state, Running) and job.state.share is not None:
            self._effects.append(fx.SettleAfter(self.limits.settle_time, job.id, job.attempt))

    def _ready(self, job: Job, now: float) -> bool:
        """Whether only its turn is missing."""
        held = isinstance(job.state, Queued) and job.state.is_held
        return not (held or job.waits_for or job.waits_for_groups) and is_due(job, now)

    def _enqueue(self, job: Job, now: float) -> None:
        """One that wants more than the GPUs that are there must not stop the others."""
        if isinstance(job.state, Queued) and job.state.unmet_by:
            self._let_down_by.setdefault(job.state.unmet_by, set()).add(job.id)
        self.lanes.join(job)
        possible = self.needs.add(job)
        self.gates.add(job, ready=possible and self._ready(job, now))
        if (at := moment(job)) is not None and at > now:
            self.alarms.add(at, job.id)

    def _leave_line(self, job: Job) -> None:
        if isinstance(job.state, Queued) and (by := job.state.unmet_by):
            self._let_down_by[by].discard(job.id)
            if not self._let_down_by[by]:
                del self._let_down_by[by]
        self.gates.remove(job)
        self.lanes.leave(job)
        self.needs.remove(job)
        if (at := moment(job)) is not None:
            self.alarms.discard(at, job.id)

    def _remove_lane(self, name: str) -> None:
        self.lanes.check_removal(name)
        self.lanes.remove(name)
        self._effects.append(fx.LaneChanged(name, None))

    def _set_lane(self, name: str, choice: Choice, now: float) -> None:
        """Whoever waits in it comes to its gates anew, if that may let somebody start or keep him from it."""
        before, said = self.lanes.all.get(name), self.lanes.choices.get(name)
        self.lanes.choose(name, choice, now)
        if (self.lanes.all[name], self.lanes.choices.get(name)) == (before, said):
            return
        if self.lanes.all[name] != before:
            jobs = sorted((self.jobs[job] for job in self.lanes.waiting.get(name, ())), key=place)
            for job in reversed(jobs):
                self.gates.remove(job)
            for job in jobs:
                self.gates.add(job, ready=self.needs.met(job) and self._ready(job, now))
        self._effects.append(fx.LaneChanged(name, self.lanes.all[name]))

    def _requeue(
        self, job: Job, rank: int, ended: Mapping[int, StateName], now: float, to: Queued | None = None
    ) -> None:
        """A new attempt waits."""
        self._become(job, to or Queued())
        job.attempt += 1
        self._errors.pop(job.id, None)
        job.progress = job.peak_memory = None
        job.samples = 0
        job.rank = rank
        self.jobs[job.id] = job
        self._dependencies.add(job, ended)
        self._enqueue(job, now)
        self._effects.append(fx.Changed(job.snapshot()))

    def _fail_if_impossible(self, job: Job, known: ev.Known, now: float) -> None:
        found = self._dependencies.impossible(job, job.spec, known)
        if found is not None and (end := self._let_down(job, *found, now)) is not None:
            self._end(job, end, now)

    def _let_down(self, job: Job, dep: int, state: StateName, now: float) -> Cancelled | None:
        """What it waits for can no longer be met: the end that this means, None where it is held instead."""
        sentence = unmet(job.spec, dep, state)
        if not job.spec.keep:
            return Cancelled(ended_at=now, cause="dependency", message=sentence)
        self._dependencies.keep(job, dep)
        if dep not in named(job.spec) and not job.bound:  # one of a group, of which only records are left
            job.bound = self.next_id
        if isinstance(job.state, Queued) and not job.state.unmet:  # the first reason is enough
            self._stand_anew(job, replace(job.state, unmet=sentence, unmet_by=dep), now)
        return None

    def _reconsider(self, event: ev.Reconsidered, now: float) -> None:
        """Whoever had let it down was tried again. Where a record is gone that it needs, it stays held."""
        job, deps = self.jobs.get(event.job), self._dependencies
        if job is None or not isinstance(job.state, Queued) or not job.state.unmet:
            return
        if job.state.unmet_by in self.jobs or job.state.unmet_by not in event.ended or deps.unknown(job, event):
            return
        found = deps.impossible(job, job.spec, event)
        dep, sentence = (0, "") if found is None else (found[0], unmet(job.spec, *found))
        if sentence != job.state.unmet:
            if job.bound and deps.may_wait_again(job):
                job.waits_for_groups = {*job.spec.after_group}
            self._stand_anew(job, replace(job.state, unmet=sentence, unmet_by=dep), now)

    def _stand_anew(self, job: Job, state: Queued, now: float) -> None:
        """It waits on, in another way."""
        self._leave_line(job)
        job.restate(state)
        self._dependencies.groups.watch(job)
        self._enqueue(job, now)
        self._effects.append(fx.Changed(job.snapshot()))

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
            self._errors.pop(job.id, None)
            self._dependencies.remove(job)
            self._become(job, to)
            self._free_gpus(job)
            del self.jobs[job.id]
            self._effects.append(fx.Changed(job.snapshot()))
            todo += self._followers(job, now)

    def _followers(self, job: Job, now: float) -> list[tuple[Job, Ended]]:
        """Those who waited for a job that has ended: who can start stands ready, who never can is to end as told."""
        ends: dict[int, tuple[Job, Ended]] = {}
        met = dict[int, Job]()
        for other in self._dependencies.ended(job.id):
            if is_met(other.spec, job.id, job.state.name):
                other.met |= {job.id}
                met[other.id] = other
            elif (end := self._let_down(other, job.id, job.state.name, now)) is not None:
                ends[other.id] = other, end
        if not isinstance(job.state, Completed):
            for other in self._dependencies.let_down(job):
                if other.id not in ends and (end := self._let_down(other, job.id, job.state.name, now)) is not None:
                    ends[other.id] = other, end
        self._dependencies.groups.leave(job)
        met |= {other.id: other for other in self._dependencies.relieved(job.spec.group)}
        for other in met.values():
            if other.id not in ends and isinstance(other.state, Queued):
                self._stand_anew(other, other.state, now)
        if (anew := self._let_down_by.get(job.id)) and isinstance(job.state, Ended):
            self._effects.append(fx.Reconsider(tuple(sorted(anew))))
        return [*ends.values()]
