"""The whole state of the queue and every decision about it.

`Core.handle(event, now)` is the only way to change it. It checks first and changes last: when it raises
RequestError nothing has changed. It returns effects; the GPUArbiter actor performs them. Ended jobs leave
the memory as soon as the effect that writes them down is returned.
"""

from __future__ import annotations

from collections import Counter
from copy import copy
from typing import TYPE_CHECKING, assert_never

from trainqueue.core import events as ev
from trainqueue.core import invariants
from trainqueue.core.alarms import Alarms
from trainqueue.core.dependencies import Dependencies
from trainqueue.core.job import Cancelled, Completed, Ended, Failed, Job, Pending, Queued, Running
from trainqueue.core.leases import Leases
from trainqueue.core.line import GAP, Line, between
from trainqueue.core.outcome import lost, outcome, unmet
from trainqueue.core.placement import choose
from trainqueue.core.spec import band
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainqueue.core.job import State, StateName

UNBLOCK = 1.0
"""Seconds until the next try where the machine refused to prepare a start."""
MAX_VOIDS = 5
"""Runners that may die in a row before they could start a job, until the job is given up."""


class Core:
    """Waiting and active jobs, the line, the leases, the counts; whether it is paused, draining or blocked."""

    def __init__(
        self,
        gpu_ids: Iterable[str],
        *,
        cpu_jobs: int = 1,
        next_id: int = 1,
        max_waiting: int = 1_000_000,
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """`counts` are the ended jobs per state that the journal knows; living ones are counted as they come."""
        self.jobs: dict[int, Job] = {}
        self.line = Line()
        self.leases = Leases(gpu_ids, cpu_jobs)
        self.paused = False
        self.draining = False
        self.blocked: str | None = None
        self.counts = Counter[str](counts or {})
        self.next_id = next_id
        self.next_rank = GAP
        self.max_waiting = max_waiting
        self._dependencies = Dependencies(self.jobs)
        self.alarms = Alarms()
        self._voids: dict[int, int] = {}
        self._effects: list[ev.Effect] = []

    # -- loading what the journal holds

    def restore(
        self, jobs: Iterable[Job], ended: Mapping[int, StateName], now: float, *, paused: bool, draining: bool
    ) -> None:
        """Waiting and active jobs as they were; `ended` holds the states of the others that they depend on.

        Nothing is dispatched before the first event.
        """
        self.paused, self.draining = paused, draining
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

    # -- the one door

    def handle(  # noqa: PLR0912  (one arm an event)
        self, event: ev.Event, now: float, *, dispatch: bool = True
    ) -> list[ev.Effect]:
        """Decide; `dispatch=False` (while recovering) starts nothing.

        Raises RequestError, with nothing changed, for what a person asked and cannot have.
        """
        match event:
            case ev.Submit():
                self._submit(event, now)
            case ev.Cancel():
                self._cancel(self._find(event.job), now, force=event.force)
            case ev.Hold():
                self._hold(self._queued(event.job, "held"), now, held=True)
            case ev.Release():
                self._hold(self._queued(event.job, "released"), now, held=False)
            case ev.Retry():
                self._retry(event, now)
            case ev.Move():
                self._move(event, now)
            case ev.Edit():
                self._edit(event, now)
            case ev.SetMode():
                self.paused, self.draining = event.paused, event.draining
                self._effects.append(ev.ModeChanged(event.paused, event.draining))
            case ev.Block():
                self.blocked, self.alarms.pause_ends = event.reason, now + UNBLOCK
            case ev.Tick():
                self._tick(now)
            case ev.Adopt():
                self._adopt(event, now)
            case ev.Progressed():
                self._progressed(event)
            case ev.AttemptStarted() | ev.AttemptEnded() | ev.AttemptLost() | ev.AttemptVoid():
                self._attempt(event, now)
            case _:
                assert_never(event)
        if dispatch:
            self._dispatch(now)
        if (at := self.alarms.next()) is not None:
            self._effects.append(ev.WakeAt(at))
        return self.take_effects()

    # -- what people ask

    def _submit(self, event: ev.Submit, now: float) -> None:
        if len(self.line) + len(event.specs) > self.max_waiting:
            raise RequestError("limit", f"$.jobs: at most {self.max_waiting} jobs may wait; {len(self.line)} do")
        for at, spec in enumerate(event.specs):
            self._dependencies.check(spec, event.ended, f"$.jobs[{at}]")
        for spec in event.specs:
            job = Job(self.next_id, spec, event.user, now, band(spec), self.next_rank, state=Queued(held=spec.hold))
            self.next_id += 1
            self.next_rank += GAP
            self.jobs[job.id] = job
            self.counts["queued"] += 1
            self._dependencies.add(job, event.ended)
            self._enqueue(job, now)
            self._effects.append(ev.Changed(copy(job)))
            self._fail_if_impossible(job, event.ended, now)

    def _cancel(self, job: Job, now: float, *, force: bool) -> None:
        match job.state:
            case Queued():
                self._end(job, Cancelled(ended_at=now), now)
            case Pending(gpu_ids, at):
                job.restate(Pending(gpu_ids, at, stopping=True))
                self._effects += [ev.Changed(copy(job)), ev.Stop(job.id, job.attempt, force)]
            case Running(gpu_ids, pid, started_at):
                job.restate(Running(gpu_ids, pid, started_at, stopping=True))
                self._effects += [ev.Changed(copy(job)), ev.Stop(job.id, job.attempt, force)]
            case _:
                raise RequestError("conflict", f"job {job.id} has ended already ({job.state.name})")

    def _hold(self, job: Job, now: float, *, held: bool) -> None:
        self._leave_line(job)
        job.restate(Queued(held=held))
        self._enqueue(job, now)
        self._effects.append(ev.Changed(copy(job)))

    def _retry(self, event: ev.Retry, now: float) -> None:
        job = event.job
        if job.id in self.jobs:
            raise RequestError("conflict", f"job {job.id} has not ended, it is {self.jobs[job.id].state.name}")
        self._dependencies.check(job.spec, event.ended, f"job {job.id}")
        self._requeue(job, self.next_rank, event.ended, now)
        self.next_rank += GAP
        self._fail_if_impossible(job, event.ended, now)

    def _move(self, event: ev.Move, now: float) -> None:
        job = self._queued(event.job, "moved")
        if event.before is not None and self.line.position(self._queued(event.before, "a place in the line")) is None:
            raise RequestError("conflict", f"job {event.before} has no position: it is parked")
        if event.before == job.id:
            raise RequestError("bad-request", "$.before: a job cannot go before itself")
        self._leave_line(job)
        spot = self._spot(event, job)
        if spot is None:
            self._effects += [ev.Moved(copy(other)) for other in self.line.renumber()]
            spot = self._spot(event, job) or (job.band, self.next_rank)
        job.band, job.rank = spot
        self.next_rank = max(self.next_rank, job.rank + GAP)
        self._enqueue(job, now)
        self._effects.append(ev.Moved(copy(job)))

    def _spot(self, event: ev.Move, job: Job) -> tuple[int, int] | None:
        position = event.position
        if event.before is not None:
            position = self.line.position(self.jobs[event.before])
        return between(*self.line.neighbours(position or len(self.line) + 1), job.band)

    def _edit(self, event: ev.Edit, now: float) -> None:
        job = self._queued(event.job, "edited")
        self._dependencies.check(event.spec, event.ended, "$.set")
        self._dependencies.check_cycle(job.id, event.spec)
        self._leave_line(job)
        if band(event.spec) != band(job.spec):
            job.band = band(event.spec)
        if event.hold is not None:
            job.restate(Queued(held=event.hold))
        job.spec = event.spec
        self._dependencies.remove(job)
        self._dependencies.add(job, event.ended)
        self._enqueue(job, now)
        self._effects.append(ev.Changed(copy(job)))
        self._fail_if_impossible(job, event.ended, now)

    # -- what runners say

    def _adopt(self, event: ev.Adopt, now: float) -> None:
        job = self._queued(event.job, "adopted")
        self.leases.take(job.id, event.gpu_ids)
        self._leave_line(job)
        self._become(job, Pending(event.gpu_ids, now))
        self._effects.append(ev.Changed(copy(job)))

    def _progressed(self, event: ev.Progressed) -> None:
        job = self.jobs.get(event.job)
        if job is not None and job.attempt == event.attempt and isinstance(job.state, Pending | Running):
            job.progress = event.progress
            self._effects.append(ev.Reported(copy(job)))

    def _attempt(
        self,
        event: ev.AttemptStarted | ev.AttemptEnded | ev.AttemptLost | ev.AttemptVoid,
        now: float,
    ) -> None:
        job = self.jobs.get(event.job)
        if job is None or job.attempt != event.attempt or not isinstance(job.state, Pending | Running):
            return  # stale: of an attempt that is over
        match event:
            case ev.AttemptStarted():
                self._voids.pop(job.id, None)
                if isinstance(job.state, Pending):
                    self._become(job, Running(job.state.gpu_ids, event.pid, event.at, job.state.stopping))
                    self._effects.append(ev.Changed(copy(job)))
            case ev.AttemptVoid():
                self._void(job, now, runner_died=event.runner_died)
            case ev.AttemptLost():
                self._as_running(job, now)
                self._finish(job, lost(job, event.cause, now), now)
            case ev.AttemptEnded():
                if event.result.reason != "start-failed":
                    self._as_running(job, event.result.started_at or now)
                self._finish(job, outcome(job, event.result), now)

    def _void(self, job: Job, now: float, *, runner_died: bool) -> None:
        """It never started: back to its place in the line, unless somebody wanted it gone."""
        if not isinstance(job.state, Pending):
            # Somebody has removed its claim: we know that it ran, and nothing of its end.
            self._finish(job, lost(job, "runner-died", now), now)
            return
        if job.state.stopping:
            self._end(job, Cancelled(ended_at=now), now)
            return
        if runner_died:
            self._voids[job.id] = self._voids.get(job.id, 0) + 1
        if self._voids.get(job.id, 0) >= MAX_VOIDS:
            sentence = f"{MAX_VOIDS} runners in a row died before they could start it"
            self._end(job, Failed(now, "start-failed", gpu_ids=job.gpu_ids, message=sentence), now)
            return
        self._become(job, Queued())
        self.leases.release(job.id)
        self._enqueue(job, now)
        self._effects.append(ev.Changed(copy(job)))
        if runner_died:
            reason = f"the runner of job {job.id} died before it could start it"
            self.blocked, self.alarms.pause_ends = reason, now + UNBLOCK

    def _as_running(self, job: Job, started_at: float) -> None:
        """The news of its start was lost with a daemon: take that step first."""
        if isinstance(job.state, Pending):
            self._become(job, Running(job.state.gpu_ids, None, started_at, job.state.stopping))
            self._effects.append(ev.Changed(copy(job)))

    def _finish(self, job: Job, to: Ended, now: float) -> None:
        """End it, or retry it where its spec says so; somebody's wish for its end sticks."""
        wanted = isinstance(job.state, Pending | Running) and job.state.stopping
        cause = None if wanted or isinstance(to, Completed) else to.cause
        if cause is not None and job.retried.get(cause, 0) < job.spec.retries.get(cause, 0):
            job.retried[cause] = job.retried.get(cause, 0) + 1
            self.leases.release(job.id)
            self._requeue(job, job.rank, {}, now)
            return
        self._end(job, to, now)

    # -- time

    def _tick(self, now: float) -> None:
        due = self.alarms.ring(now)
        if self.alarms.pause_ends is None:
            self.blocked = None
        for job in due:
            self._leave_line(self.jobs[job])
            self._enqueue(self.jobs[job], now)

    # -- the steps shared by all of the above

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

    def _dispatch(self, now: float) -> None:
        if self.draining and not any(isinstance(job.state, Pending | Running) for job in self.active()):
            self._effects.append(ev.Drained())
        while self.may_start():
            chosen = choose(self.line, self.leases)
            if chosen is None:
                return
            job, gpu_ids = chosen
            self._leave_line(job)
            self._become(job, Pending(gpu_ids, now))
            self.leases.take(job.id, gpu_ids)
            self._effects += [ev.Changed(copy(job)), ev.Start(job, gpu_ids)]

    def may_start(self) -> bool:
        return not (self.paused or self.draining or self.blocked)

    def active(self) -> list[Job]:
        """Pending and running jobs."""
        holders = {job for job in self.leases.holder.values() if job is not None} | self.leases.without_gpu
        return [self.jobs[job] for job in holders]

    # -- the truth about itself

    def validate(self) -> None:
        """Raises InvariantError when a promise of the design (section 4) is broken. Called after every test step."""
        invariants.check(self)
