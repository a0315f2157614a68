"""The whole state of the queue and every decision about it.

`Core.handle(event, now)` is the only way to change it. It checks first and changes last: when it raises
RequestError nothing has changed. It returns effects; the GPUArbiter actor performs them. Ended jobs leave
the memory as soon as the effect that writes them down is returned.
"""

from __future__ import annotations

import heapq
from collections import Counter
from copy import copy
from typing import TYPE_CHECKING, assert_never

from trainqueue.core import events as ev
from trainqueue.core.job import (
    Cancelled,
    Completed,
    Ended,
    Failed,
    Job,
    Lost,
    Pending,
    Queued,
    Running,
)
from trainqueue.core.leases import Leases
from trainqueue.core.line import GAP, Line, between
from trainqueue.core.spec import band
from trainqueue.errors import RequestError, TrainqError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainqueue.core.job import Cause, State, StateName
    from trainqueue.core.spec import JobSpec

UNBLOCK = 1.0
"""Seconds until the next try where the machine refused to prepare a start."""


class InvariantError(TrainqError):
    """`validate` found the state broken; a fault of ours."""


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
        self._dependents: dict[int, set[int]] = {}
        self._alarms: list[tuple[float, int]] = []
        self._effects: list[ev.Effect] = []

    # -- loading what the journal holds

    def load(self, job: Job, ended: Mapping[int, StateName], now: float) -> None:
        """Take over a waiting or active job at start; nothing is dispatched before the first event."""
        self.jobs[job.id] = job
        self.counts[job.state.name] += 1
        self.next_rank = max(self.next_rank, job.rank + GAP)
        if isinstance(job.state, Queued):
            self._wait_for(job, ended)
            self._enqueue(job, now)
        else:
            self.leases.take(job.id, job.gpu_ids)

    def adopt(self, job: Job, gpu_ids: tuple[str, ...], now: float) -> None:
        """A waiting job turns out to have been handed over just before the last daemon died."""
        self.line.remove(job)
        self._become(job, Pending(gpu_ids, now))
        self.leases.take(job.id, gpu_ids)
        self._effects.append(ev.Changed(copy(job)))

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
                self.blocked = event.reason
                self._effects.append(ev.WakeAt(now + UNBLOCK))
            case ev.Tick():
                self.blocked = None
                self._tick(now)
            case ev.AttemptStarted() | ev.AttemptEnded() | ev.AttemptLost() | ev.AttemptVoid():
                self._attempt(event, now)
            case _:
                assert_never(event)
        if dispatch:
            self._dispatch(now)
        return self.take_effects()

    # -- what people ask

    def _submit(self, event: ev.Submit, now: float) -> None:
        if len(self.line) + len(event.specs) > self.max_waiting:
            raise RequestError("limit", f"$.jobs: at most {self.max_waiting} jobs may wait; {len(self.line)} do")
        for at, spec in enumerate(event.specs):
            self._check_dependencies(spec, event.ended, f"$.jobs[{at}]")
        for spec in event.specs:
            job = Job(self.next_id, spec, event.user, now, band(spec), self.next_rank, state=Queued(held=spec.hold))
            self.next_id += 1
            self.next_rank += GAP
            self.jobs[job.id] = job
            self.counts["queued"] += 1
            self._wait_for(job, event.ended)
            self._enqueue(job, now)
            self._effects.append(ev.Changed(copy(job)))
            self._fail_if_impossible(job, event.ended, now)

    def _check_dependencies(self, spec: JobSpec, ended: Mapping[int, StateName], where: str) -> None:
        for field, ids in (("after", spec.after), ("after_any", spec.after_any)):
            for job in ids:
                if job not in self.jobs and job not in ended:
                    raise RequestError("not-found", f"{where}.{field}: there is no job {job}")

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
        self.line.remove(job)
        job.restate(Queued(held=held))
        self._enqueue(job, now)
        self._effects.append(ev.Changed(copy(job)))

    def _retry(self, event: ev.Retry, now: float) -> None:
        job = event.job
        if job.id in self.jobs:
            raise RequestError("conflict", f"job {job.id} has not ended, it is {self.jobs[job.id].state.name}")
        self._check_dependencies(job.spec, event.ended, f"job {job.id}")
        self._requeue(job, self.next_rank, event.ended, now)
        self.next_rank += GAP
        self._fail_if_impossible(job, event.ended, now)

    def _move(self, event: ev.Move, now: float) -> None:
        job = self._queued(event.job, "moved")
        if event.before is not None and self.line.position(self._queued(event.before, "a place in the line")) is None:
            raise RequestError("conflict", f"job {event.before} has no position: it is parked")
        if event.before == job.id:
            raise RequestError("bad-request", "$.before: a job cannot go before itself")
        self.line.remove(job)
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
        self._check_dependencies(event.spec, event.ended, "$.set")
        self._check_cycle(job.id, event.spec)
        self.line.remove(job)
        if band(event.spec) != band(job.spec):
            job.band = band(event.spec)
        if event.spec.hold != job.spec.hold:
            job.restate(Queued(held=event.spec.hold))
        job.spec = event.spec
        self._forget_dependencies(job)
        self._wait_for(job, event.ended)
        self._enqueue(job, now)
        self._effects.append(ev.Changed(copy(job)))
        self._fail_if_impossible(job, event.ended, now)

    def _check_cycle(self, job: int, spec: JobSpec) -> None:
        todo, seen = [*spec.after, *spec.after_any], set[int]()
        while todo:
            other = todo.pop()
            if other == job:
                raise RequestError("conflict", f"$.set.after: job {job} would wait for itself")
            if other not in seen and other in self.jobs:
                seen.add(other)
                todo += self.jobs[other].waits_for

    # -- what runners say

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
                if isinstance(job.state, Pending):
                    self._become(job, Running(job.state.gpu_ids, event.pid, event.at, job.state.stopping))
                    self._effects.append(ev.Changed(copy(job)))
            case ev.AttemptVoid():
                self._void(job, now)
            case ev.AttemptLost():
                self._as_running(job, now)
                self._finish(job, lost(job, event.cause, now), now)
            case ev.AttemptEnded():
                if event.result.reason != "start-failed":
                    self._as_running(job, event.result.started_at or now)
                self._finish(job, outcome(job, event.result), now)

    def _void(self, job: Job, now: float) -> None:
        """It never started: back to its place in the line, unless somebody wanted it gone."""
        stopping = isinstance(job.state, Pending | Running) and job.state.stopping
        self._as_pending_only(job)
        if stopping:
            self._end(job, Cancelled(ended_at=now), now)
            return
        self._become(job, Queued())
        self.leases.release(job.id)
        self._enqueue(job, now)
        self._effects.append(ev.Changed(copy(job)))

    def _as_pending_only(self, job: Job) -> None:
        if not isinstance(job.state, Pending):
            msg = f"job {job.id} runs, yet its attempt is said never to have started"
            raise InvariantError(msg)

    def _as_running(self, job: Job, started_at: float) -> None:
        """The news of its start was lost with a daemon: take that step first."""
        if isinstance(job.state, Pending):
            self._become(job, Running(job.state.gpu_ids, None, started_at, job.state.stopping))

    def _finish(self, job: Job, to: Ended, now: float) -> None:
        cause = None if isinstance(to, Completed) else to.cause
        if cause is not None and job.retried.get(cause, 0) < job.spec.retries.get(cause, 0):
            job.retried[cause] = job.retried.get(cause, 0) + 1
            self.leases.release(job.id)
            self._requeue(job, job.rank, {}, now)
            return
        self._end(job, to, now)

    # -- time

    def _tick(self, now: float) -> None:
        while self._alarms and self._alarms[0][0] <= now:
            _, job_id = heapq.heappop(self._alarms)
            job = self.jobs.get(job_id)
            if job is not None and isinstance(job.state, Queued):
                self.line.remove(job)
                self._enqueue(job, now)
        if self._alarms:
            self._effects.append(ev.WakeAt(self._alarms[0][0]))

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
        possible = job.spec.gpus <= len(self.leases.holder)
        return possible and not held and not job.waits_for and (job.spec.not_before or 0) <= now

    def _enqueue(self, job: Job, now: float) -> None:
        self.line.add(job, ready=self.ready(job, now))
        if job.spec.not_before is not None and job.spec.not_before > now:
            heapq.heappush(self._alarms, (job.spec.not_before, job.id))
            self._effects.append(ev.WakeAt(self._alarms[0][0]))

    def _requeue(self, job: Job, rank: int, ended: Mapping[int, StateName], now: float) -> None:
        self._become(job, Queued())
        job.attempt += 1
        job.progress = None
        job.rank = rank
        self.jobs[job.id] = job
        self._wait_for(job, ended)
        self._enqueue(job, now)
        self._effects.append(ev.Changed(copy(job)))

    def _wait_for(self, job: Job, ended: Mapping[int, StateName]) -> None:
        wanted = {*job.spec.after, *job.spec.after_any}
        job.waits_for = {dep for dep in wanted if dep not in ended and dep in self.jobs and dep != job.id}
        for dep in job.waits_for:
            self._dependents.setdefault(dep, set()).add(job.id)

    def _forget_dependencies(self, job: Job) -> None:
        for dep in job.waits_for:
            waiting = self._dependents.get(dep, set())
            waiting.discard(job.id)
            if not waiting:
                self._dependents.pop(dep, None)
        job.waits_for = set()

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
                self.line.remove(job)
            self._forget_dependencies(job)
            self._become(job, to)
            self.leases.release(job.id)
            del self.jobs[job.id]
            self._effects.append(ev.Changed(copy(job)))
            for waiting in sorted(self._dependents.pop(job.id, ())):
                other = self.jobs[waiting]
                other.waits_for.discard(job.id)
                if job.id in other.spec.after and not isinstance(to, Completed):
                    todo.append((other, unmet(job.id, now)))
                else:
                    self.line.remove(other)
                    self._enqueue(other, now)

    def _dispatch(self, now: float) -> None:
        if self.draining and not any(isinstance(job.state, Pending | Running) for job in self.active()):
            self._effects.append(ev.Drained())
        while self._may_start():
            job = self._startable()
            if job is None:
                return
            gpu_ids = self.leases.fit(job.spec.gpus) or ()
            self.line.remove(job)
            self._become(job, Pending(gpu_ids, now))
            self.leases.take(job.id, gpu_ids)
            self._effects += [ev.Changed(copy(job)), ev.Start(job, gpu_ids)]

    def _may_start(self) -> bool:
        return not (self.paused or self.draining or self.blocked)

    def active(self) -> list[Job]:
        """Pending and running jobs."""
        holders = {job for job in self.leases.holder.values() if job is not None} | self.leases.without_gpu
        return [self.jobs[job] for job in holders]

    def _startable(self) -> Job | None:
        """The head, or the first that needs no GPU when the head waits for one (it takes nothing from it)."""
        head = self.line.head()
        if head is None or self.leases.fit(head.spec.gpus) is not None:
            return head
        other = self.line.first_without_gpu() if head.spec.gpus else self.line.first_with_gpu()
        return other if other is not None and self.leases.fit(other.spec.gpus) is not None else None

    # -- the truth about itself

    def validate(self) -> None:
        """Raises InvariantError when a promise of the design (section 4) is broken. Called after every test step."""
        problems = [*self._problems()]
        if problems:
            raise InvariantError("; ".join(problems))

    def _problems(self) -> Iterable[str]:
        queued = {job.id for job in self.jobs.values() if isinstance(job.state, Queued)}
        active = {job.id for job in self.jobs.values() if isinstance(job.state, Pending | Running)}
        if queued | active != set(self.jobs):
            yield f"ended jobs in memory: {set(self.jobs) - queued - active}"
        listed = [job.id for job in self.line.page(0, len(self.line))]
        if sorted(listed) != sorted(queued):
            yield f"the line holds {listed}, queued are {queued}"
        held: dict[str, int] = {}
        for job in self.jobs.values():
            for gpu in job.gpu_ids:
                if held.setdefault(gpu, job.id) != job.id:
                    yield f"GPU {gpu} is held by jobs {held[gpu]} and {job.id}"
        if held != {gpu: job for gpu, job in self.leases.holder.items() if job is not None}:
            yield f"leases {self.leases.holder} differ from what jobs hold {held}"
        alive = Counter(job.state.name for job in self.jobs.values())
        if alive != Counter({name: self.counts[name] for name in ("queued", "pending", "running")}):
            yield f"counted {self.counts}, alive are {alive}"
        if self._may_start() and self._startable() is not None:
            yield f"job {self._startable()} could start and does not"


def lost(job: Job, cause: Cause, now: float) -> Lost:
    started_at = job.state.started_at if isinstance(job.state, Running) else None
    return Lost(now, cause, started_at, job.gpu_ids)


def unmet(dependency: int, now: float) -> Cancelled:
    return Cancelled(ended_at=now, cause="dependency", message=f"job {dependency} did not complete")


def outcome(job: Job, result: ev.Result) -> Ended:
    """The state that an exit record means."""
    cause: Cause
    if result.reason == "cancel":
        return Cancelled(result.ended_at, "user", result.started_at, job.gpu_ids, result.exit_code, result.signal)
    if result.reason is not None:
        cause = result.reason
    elif result.exit_code == 0:
        return Completed(result.ended_at, result.started_at, job.gpu_ids)
    else:
        cause = "exit" if result.exit_code is not None else "signal"
    return Failed(
        result.ended_at, cause, result.started_at, job.gpu_ids, result.exit_code, result.signal, result.message
    )
