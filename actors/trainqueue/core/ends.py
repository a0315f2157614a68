"""What becomes of an attempt: it runs, ends, is tried again, or makes the queue stand still."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.crashguard import CrashGuard
from trainqueue.core.gpus import Gpus
from trainqueue.core.job import ACTIVE, Cancelled, Completed, Ended, Failed, Job, Lost, Pending, Queued, Running
from trainqueue.core.line import GAP
from trainqueue.core.outcome import is_preempted, lost, outcome, with_errors
from trainqueue.core.retries import again

if TYPE_CHECKING:
    from collections.abc import Iterable

UNBLOCK = 1.0
"""Seconds until the next try where the machine refused to prepare a start."""
PREEMPTED = "preempted: it waits for its next attempt"
"""Said of an attempt that nothing else is known of."""
MAX_VOIDS = 5
"""Runners that may die in a row before they could start a job, until the job is given up."""


class Ends(Gpus):
    """The part of the core that hears of runners."""

    def __init__(self, gpu_ids: Iterable[str], **options: Any) -> None:
        super().__init__(gpu_ids, **options)
        self.guard = CrashGuard(self.limits.crash_guard_jobs, self.limits.crash_guard_seconds)
        self._blocks = 0

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
        self._effects.append(fx.Changed(job.snapshot()))
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
        self._effects.append(fx.Changed(job.snapshot()))

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
        self._effects.append(fx.AttemptOver(job.id, job.attempt, end))
        self._free_gpus(job)
        rank = job.rank
        if last:
            rank, self.next_rank = self.next_rank, self.next_rank + GAP
        self._requeue(job, rank, {}, now, to)

    # -- what keeps others from starting

    def _guard(self, job: Job, end: Ended) -> None:
        before = [*self.guard.row]
        reason = self.guard.ended(job.id, end)
        if self.guard.row != before:
            self._effects.append(fx.CrashesCounted((*self.guard.row,)))
        if reason is not None and not self.paused:
            self._set_mode(ev.SetMode(paused=True, draining=self.draining, reason=reason))

    def _set_mode(self, event: ev.SetMode) -> None:
        """A reason stays for as long as the queue is paused: a drain or a second pause does not take it away."""
        resumed = not (event.paused or event.draining)
        if event.paused != self.paused:
            self.paused_since = self.now if event.paused else None
        self.paused, self.draining = event.paused, event.draining
        self.pause_reason = (event.reason or self.pause_reason) if event.paused else None
        if resumed and self.guard.row:
            self.guard.reset()
            self._effects.append(fx.CrashesCounted(()))
        self._effects.append(fx.ModeChanged(self.paused, self.draining, self.pause_reason))

    def _block(self, reason: str) -> None:
        self.blocked = reason
        self._blocks += 1
        self._effects.append(fx.UnblockAfter(UNBLOCK, self._blocks))
