"""The whole state of the queue and every decision about it.

`Core.handle(event, now)` is the only way to change it. It checks first and changes last: when it raises
RequestError nothing has changed. It returns effects; the GPUArbiter actor performs them. Ended jobs leave
the memory as soon as the effect that writes them down is returned.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from trainqueue.core import events as ev
from trainqueue.core import invariants
from trainqueue.core.control import obeyed
from trainqueue.core.crashguard import CrashGuard
from trainqueue.core.expect import told_end
from trainqueue.core.gpus import Gpus
from trainqueue.core.job import ACTIVE, Cancelled, Completed, Ended, Failed, Job, Lost, Pending, Queued, Running
from trainqueue.core.line import GAP, between
from trainqueue.core.outcome import is_preempted, lost, outcome, with_errors
from trainqueue.core.retries import again
from trainqueue.core.spec import band
from trainqueue.core.stalls import judge
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainqueue.core.card import Trace
    from trainqueue.core.job import StateName
    from trainqueue.core.lanes import Choice
    from trainqueue.core.limits import Limits
    from trainqueue.core.past import Past
    from trainqueue.core.spec import JobSpec

UNBLOCK = 1.0
"""Seconds until the next try where the machine refused to prepare a start."""
PREEMPTED = "preempted: it waits for its next attempt"
"""Said of an attempt that nothing else is known of."""
MAX_VOIDS = 5
"""Runners that may die in a row before they could start a job, until the job is given up."""


class Core(Gpus):
    """Decides over the books and the GPUs, at the word of people, runners, the clock and the watch."""

    def __init__(
        self,
        gpu_ids: Iterable[str],
        *,
        cpu_jobs: int | None = None,
        next_id: int = 1,
        max_waiting: int = 1_000_000,
        counts: Mapping[str, int] | None = None,
        limits: Limits | None = None,
        past: Past | None = None,
    ) -> None:
        super().__init__(gpu_ids, cpu_jobs=cpu_jobs, next_id=next_id, counts=counts, limits=limits, past=past)
        self.max_waiting = max_waiting
        self.guard = CrashGuard(self.limits.crash_guard_jobs, self.limits.crash_guard_seconds)
        self._blocks = 0

    def restore(
        self,
        jobs: Iterable[Job],
        ended: Mapping[int, StateName],
        now: float,
        *,
        paused: bool,
        draining: bool,
        pause_reason: str | None = None,
        choices: Mapping[str, bool] | None = None,
        traces: Mapping[str, Trace] | None = None,
        lanes: Mapping[str, Choice] | None = None,
    ) -> None:
        """What the journal holds, see `load` and `recall`. Nothing is dispatched before the first event."""
        self.paused, self.draining, self.pause_reason = paused, draining, pause_reason
        self.lanes.recall(lanes or {})
        self.load(jobs, ended, now)
        self.recall(choices or {}, traces or {}, now)

    # -- the one door

    def handle(  # noqa: PLR0912  (one arm an event)
        self, event: ev.Event, now: float, *, dispatch: bool = True
    ) -> list[ev.Effect]:
        """Decide; `dispatch=False` (while recovering) starts nothing.

        Raises RequestError, with nothing changed, for what a person asked and cannot have.
        """
        self.fresh, self.started, self.keeping, self.barring, self.now = set(), [], None, {}, now
        match event:
            case ev.AttemptEnded() | ev.AttemptStarted() | ev.AttemptLost() | ev.AttemptVoid():
                self._attempt(event, now)
            case ev.Submit():
                self._submit(event, now)
            case ev.Cancel():
                self._cancel(self._find(event.job), now, force=event.force)
            case ev.Signal() | ev.Suspend() | ev.Continue() | ev.Preempt():
                self._control(event)
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
                self._set_mode(event)
            case ev.Block():
                self._block(event.reason)
            case ev.Unblock():
                self.blocked = self.blocked if event.block != self._blocks else None
            case ev.Tick():
                self._tick(now)
            case ev.Adopt():
                self._adopt(event, now)
            case ev.Progressed():
                self._progressed(event)
            case ev.Seen() | ev.ProofOverdue() | ev.Settled() | ev.SetGpu():
                self._of_gpus(event, now)
            case ev.Stalled() | ev.Stirred():
                self._effects += judge(self.jobs.get(event.job), event)
            case ev.SetLane():
                self._set_lane(event.name, event.choice, now)
            case ev.RemoveLane():
                self._remove_lane(event.name)
            case ev.Forgotten():
                self.counts.subtract(event.counts)
            case _:
                assert_never(event)
        if dispatch:
            self._dispatch(now)
        self._ask()
        if (at := self.alarms.next()) is not None:
            self._effects.append(ev.WakeAt(at))
        return self.take_effects()

    # -- what people ask

    def _submit(self, event: ev.Submit, now: float) -> None:
        if len(self.line) + len(event.specs) > self.max_waiting:
            raise RequestError("limit", f"$.jobs: at most {self.max_waiting} jobs may wait; {len(self.line)} do")
        made = set[str]()
        for at, spec in enumerate(event.specs):
            self._dependencies.check(spec, event, f"$.jobs[{at}]", made)
            self.lanes.check(spec, f"$.jobs[{at}]")
            if spec.group is not None:
                made.add(spec.group)
        for spec in event.specs:
            job = Job(self.next_id, spec, event.user, now, band(spec), self.next_rank, state=Queued(held=spec.hold))
            self.next_id += 1
            self.next_rank += GAP
            self._dependencies.groups.ask(job, job.id)
            self.jobs[job.id] = job
            self.counts["queued"] += 1
            self._dependencies.groups.join(job)
            self._dependencies.add(job, event.ended)
            self._enqueue(job, now)
            self._effects.append(ev.Changed(job.snapshot()))
            self._fail_if_impossible(job, event, now)

    def _cancel(self, job: Job, now: float, *, force: bool) -> None:
        match job.state:
            case Queued():
                self._end(job, Cancelled(ended_at=now), now)
            case Pending() | Running():
                job.restate(replace(job.state, stopping=True))
                self._end_expected_anew(job)
                self._effects += [ev.Changed(job.snapshot()), ev.Stop(job.id, job.attempt, force)]
            case _:
                raise RequestError("conflict", f"job {job.id} has ended already ({job.state.name})")

    def _control(self, event: ev.Control) -> None:
        job = self._find(event.job)
        told = obeyed(job, event)
        if told != job.state:
            job.restate(told)
            self._end_expected_anew(job)
            self._effects.append(ev.Changed(job.snapshot()))
        self._effects.append(ev.Tell(job.id, job.attempt))

    def _hold(self, job: Job, now: float, *, held: bool) -> None:
        """A person's word. Who is released starts in spite of what can no longer be met, and waits for no back-off."""
        assert isinstance(job.state, Queued)
        if held:
            self._stand_anew(job, replace(job.state, held=True), now)
            return
        self._dependencies.waive(job)
        self._stand_anew(job, Queued(), now)

    def _retry(self, event: ev.Retry, now: float) -> None:
        job = event.job
        waits = self.jobs.get(job.id)
        if waits is not None and event.spec is None and getattr(waits.state, "until", None) is not None:
            assert isinstance(waits.state, Queued)
            self._stand_anew(waits, replace(waits.state, until=None), now)  # at once, then
            return
        if waits is not None:
            raise RequestError("conflict", f"job {job.id} has not ended, it is {waits.state.name}")
        spec, where = event.spec or job.spec, "$.set" if event.spec is not None else f"job {job.id}"
        self._dependencies.check(spec, event, where)
        self.lanes.check(spec, where)
        self._dependencies.check_cycle(self._dependencies.wish(job, spec, self.next_id), where)
        if band(spec) != band(job.spec):
            job.band = band(spec)
        self._dependencies.change(job, spec)
        job.spec = spec
        self._dependencies.groups.ask(job, self.next_id)
        self._dependencies.groups.join(job)
        if isinstance(job.state, Ended):
            self._effects.append(ev.AttemptOver(job.id, job.attempt, job.state))
        self._requeue(job, self.next_rank, event.ended, now, Queued(held=event.held))
        self.next_rank += GAP
        self._fail_if_impossible(job, event, now)

    def _move(self, event: ev.Move, now: float) -> None:
        job = self._queued(event.job, "moved")
        before = None if event.before is None else self._queued(event.before, "a place in the line")
        if before is not None and not self.line.has_ready(before) and self.gates.outside(before) is None:
            raise RequestError("conflict", f"job {before.id} has no position: it is parked")
        if event.before == job.id:
            raise RequestError("bad-request", "$.before: a job cannot go before itself")
        self._leave_line(job)
        spot = self._spot(event, job)
        if spot is None:
            self._effects += [ev.Moved(other.snapshot()) for other in self.line.renumber()]
            self.gates.renumbered()
            spot = self._spot(event, job) or (job.band, self.next_rank)
        job.band, job.rank = spot
        self.next_rank = max(self.next_rank, job.rank + GAP)
        self._enqueue(job, now)
        self._effects.append(ev.Moved(job.snapshot()))

    def _spot(self, event: ev.Move, job: Job) -> tuple[int, int] | None:
        if event.before is not None:
            return between(*self.line.in_front_of(self.jobs[event.before]), job.band)
        return between(*self.line.neighbours(event.position or len(self.line) + 1), job.band)

    def _edit(self, event: ev.Edit, now: float) -> None:
        job, spec, deps = self._queued(event.job, "edited"), event.spec, self._dependencies
        assert isinstance(job.state, Queued)
        anew = spec.after_group != job.spec.after_group or bool(job.state.unmet)
        deps.check(spec, event, "$.set")
        self.lanes.check(spec, "$.set")
        wish = deps.wish(job, spec, self.next_id if anew else None)
        deps.check_cycle(wish, "$.set")
        self._leave_line(job)
        if band(spec) != band(job.spec):
            job.band = band(spec)
        if event.hold is not None or job.state.unmet:
            held = spec.hold if event.hold is None else event.hold
            job.restate(Queued(held=held, until=job.state.until))
        deps.change(job, spec)
        self._regroup(job, spec, now)
        job.bound, job.waits_for_groups = wish.bound, {*wish.groups}
        deps.add(job, event.ended)
        self._enqueue(job, now)
        self._effects.append(ev.Changed(job.snapshot()))
        self._fail_if_impossible(job, event if anew else replace(event, groups={}), now)

    def _regroup(self, job: Job, spec: JobSpec, now: float) -> None:
        """Give it its new spec; who waited for it as one of its group may have nobody left to wait for."""
        before = job.spec.group
        self._dependencies.groups.leave(job)
        job.spec = spec
        self._dependencies.groups.join(job)
        for other in self._dependencies.relieved(before) if before != spec.group else ():
            if isinstance(other.state, Queued):
                self._stand_anew(other, other.state, now)

    # -- what runners say

    def _adopt(self, event: ev.Adopt, now: float) -> None:
        job = self._queued(event.job, "adopted")
        self._hold_gpus(job, event.gpu_ids, None)
        self._dependencies.waive(job, living=True)
        self._leave_line(job)
        self._become(job, Pending(event.gpu_ids, now))
        self._effects.append(ev.Changed(job.snapshot()))

    def _progressed(self, event: ev.Progressed) -> None:
        job = self.jobs.get(event.job)
        if job is not None and job.attempt == event.attempt and isinstance(job.state, Pending | Running):
            if told_end(event.progress) != told_end(job.progress):
                self._end_expected_anew(job)
            job.progress = event.progress
            self._effects.append(ev.Reported(job.snapshot()))

    def _attempt(
        self,
        event: ev.AttemptStarted | ev.AttemptEnded | ev.AttemptLost | ev.AttemptVoid,
        now: float,
    ) -> None:
        job = self.jobs.get(event.job)
        if job is None or job.attempt != event.attempt or not isinstance(job.state, ACTIVE):
            return  # stale: of an attempt that is over
        match event:
            case ev.AttemptStarted():
                self._voids.pop(job.id, None)
                if isinstance(job.state, Pending):
                    self._run(job, event.pid, event.at, event.began)
                    self._settle_later(job)
            case ev.AttemptVoid():
                self._void(job, now, runner_died=event.runner_died)
            case ev.AttemptLost():
                self._as_running(job, now)
                self._finish(job, lost(job, event, now), now)
            case ev.AttemptEnded():
                if event.result.reason != "start-failed":
                    self._as_running(job, event.result.started_at or now)
                self._finish(job, outcome(job, event.result), now, event.result)

    def _void(self, job: Job, now: float, *, runner_died: bool) -> None:
        """It never started: back to its place in the line, unless somebody wanted it gone."""
        if not isinstance(job.state, Pending):
            # Somebody has removed its claim: we know that it ran, and nothing of its end.
            self._finish(job, lost(job, ev.AttemptLost(job.id, job.attempt, "runner-died"), now), now)
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
        self._free_gpus(job)
        self._enqueue(job, now)
        self._effects.append(ev.Changed(job.snapshot()))
        if runner_died:
            self._block(f"the runner of job {job.id} died before it could start it")

    def _as_running(self, job: Job, started_at: float) -> None:
        """The news of its start was lost with a daemon: take that step first."""
        if isinstance(job.state, Pending):
            self._run(job, None, started_at, None)

    def _run(self, job: Job, pid: int | None, at: float, began: float | None) -> None:
        assert isinstance(job.state, Pending)
        self._become(job, Running(job.state.gpu_ids, pid, at, job.state.stopping, began, job.state.share))
        self._end_expected_anew(job)
        self._effects.append(ev.Changed(job.snapshot()))

    def _finish(self, job: Job, to: Ended, now: float, result: ev.Result | None = None) -> None:
        """End it, or retry it where its spec says so; somebody's wish for its end sticks."""
        wanted = isinstance(job.state, ACTIVE) and job.state.stopping
        if is_preempted(job, result) and not wanted:
            held = isinstance(job.state, Running) and job.state.preempt_hold
            end = replace(to, message=to.message or PREEMPTED) if isinstance(to, Cancelled | Lost) else to
            self._back_to_line(job, end, Queued(held=held), now, last=True)
            return
        if not wanted:
            self._guard(job, to)
        cause = None if wanted or isinstance(to, Completed) else to.cause
        if cause is not None and (waits := again(job, cause, now)) is not None:
            self._back_to_line(job, to, waits, now, last=job.spec.retry_place == "back")
            return
        if isinstance(to, Failed):
            to = replace(to, message=with_errors(to.message, self._errors.get(job.id, ())))
        self._end(job, to, now)

    def _back_to_line(self, job: Job, end: Ended, to: Queued, now: float, *, last: bool) -> None:
        """Its next attempt waits at its old place, which is before all later ones of its priority, or behind them."""
        self._effects.append(ev.AttemptOver(job.id, job.attempt, end))
        self._free_gpus(job)
        rank = job.rank
        if last:
            rank, self.next_rank = self.next_rank, self.next_rank + GAP
        self._requeue(job, rank, {}, now, to)

    # -- when starts may happen

    def _guard(self, job: Job, end: Ended) -> None:
        reason = self.guard.ended(job.id, end)
        if reason is not None and not self.paused:
            self._set_mode(ev.SetMode(paused=True, draining=self.draining, reason=reason))

    def _set_mode(self, event: ev.SetMode) -> None:
        """A reason stays for as long as the queue is paused: a drain or a second pause does not take it away."""
        self.paused, self.draining = event.paused, event.draining
        self.pause_reason = (event.reason or self.pause_reason) if event.paused else None
        if not event.paused:
            self.guard.reset()
        self._effects.append(ev.ModeChanged(self.paused, self.draining, self.pause_reason))

    def _block(self, reason: str) -> None:
        self.blocked = reason
        self._blocks += 1
        self._effects.append(ev.UnblockAfter(UNBLOCK, self._blocks))

    def _tick(self, now: float) -> None:
        for job in self.alarms.ring(now):
            self._leave_line(self.jobs[job])
            self._enqueue(self.jobs[job], now)

    def _dispatch(self, now: float) -> None:
        if self.draining and not any(isinstance(job.state, Pending | Running) for job in self.active()):
            self._effects.append(ev.Drained())
        if self.may_start():
            self._start_without_gpu(now)
            self._start_on_gpus(now)

    # -- the truth about itself

    def validate(self) -> None:
        """Raises InvariantError when a promise of the design (section 4) is broken. Called after every test step."""
        invariants.check(self, self.now)
