"""What the core has asked for is done here, effect by effect, in the order given."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from trainqueue import crashrow, laneops, wire
from trainqueue.actor import tell
from trainqueue.core import effects as fx
from trainqueue.core.job import Failed
from trainqueue.core.outcome import with_errors
from trainqueue.messages.arbiter import BlockOver, Reconsider
from trainqueue.messages.attempts import TellOrders
from trainqueue.messages.clients import Publish
from trainqueue.messages.files import NoteEnd
from trainqueue.view import news

if TYPE_CHECKING:
    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core.job import Job
    from trainqueue.inbox import Timer


class Performer:
    """Part of the arbiter, in its thread."""

    def __init__(self, arbiter: GPUArbiter) -> None:
        self.arbiter = arbiter
        self._unblock: Timer | None = None

    def perform(self, effects: list[fx.Effect]) -> None:  # noqa: PLR0912  (one arm an effect)
        arbiter = self.arbiter
        for effect in effects:
            if isinstance(effect, fx.Start):
                arbiter.starts.hot(effect.job, effect.gpu_ids)  # before all the writing: the GPU is idle
        for effect in effects:
            match effect:
                case fx.Changed(job, told):
                    self._job_changed(job, told)
                case fx.Explained(job_id, attempt, error):
                    self._explain(job_id, attempt, error)
                case fx.Reconsider(jobs):
                    arbiter.actor_ref.tell(Reconsider(jobs))
                case fx.Moved(job, told):
                    arbiter.ledger.batch.change(job)
                    if told:
                        arbiter.event(f"job.{job.id}", {"type": "moved", **news(job)})
                case fx.Reported(job):
                    self._publish_progress(job)
                case fx.ModeChanged(paused, draining, reason):
                    modes = {"paused": "1" if paused else "", "draining": "1" if draining else ""}
                    since = str(arbiter.core.paused_since or "")
                    arbiter.ledger.batch.settings |= {**modes, "pause_reason": reason or "", "paused_since": since}
                    now = {"paused": paused, "draining": draining, "pause_reason": reason}
                    arbiter.event("queue", {"type": "queue", **now})
                case fx.CrashesCounted(row):
                    crashrow.changed(arbiter, row)
                case fx.LaneChanged(name, lane):
                    laneops.changed(arbiter, name, lane)
                case fx.Start(job, gpu_ids):
                    arbiter.starts.cold(job, gpu_ids)
                case fx.Stop(job_id, attempt, force, stalled):
                    arbiter.bench.stop(job_id, attempt, force=force, stalled=stalled)
                case fx.AttemptOver(job_id, attempt, state):
                    tell(arbiter.annals, NoteEnd(job_id, attempt, state))
                case fx.Tell(job_id, attempt):
                    arbiter.bench.tell(job_id, attempt, TellOrders())
                case fx.WakeAt(at):
                    arbiter.clock.wake_at(at)
                case fx.UnblockAfter(seconds, block):
                    arbiter.inbox.drop(self._unblock)
                    self._unblock = arbiter.inbox.after(seconds, BlockOver(block))
                case fx.Look() | fx.ProveWithin() | fx.SettleAfter() | fx.GpuChanged():
                    arbiter.sights.perform(effect)
                case fx.Drained():
                    arbiter.ledger.batch.settings["draining"] = ""
                    arbiter.leaving = True
        arbiter.changed()

    def _job_changed(self, job: Job, told: str) -> None:
        arbiter = self.arbiter
        arbiter.ledger.batch.change(job)
        arbiter.event(f"job.{job.id}", {"type": told, **news(job)})
        arbiter.stalls.changed(job)
        if job.ended:
            arbiter.meter.ended(job, arbiter.clock.now())
            arbiter.forecaster.ended(job)
            if arbiter.past is not None:
                arbiter.past.ended(job)
            arbiter.bench.discard(job.id, job.attempt)
            arbiter.ledger.batch.rows[job.id, job.attempt] = None

    def _explain(self, job_id: int, attempt: int, error: str) -> None:
        """An error that was reported after a job had failed; not of one that has been retried or removed since."""
        arbiter = self.arbiter
        job = copy(arbiter.ledger.batch.jobs.get(job_id) or arbiter.journal.job(job_id))
        if job is not None and job.attempt == attempt and isinstance(job.state, Failed):
            job.restate(replace(job.state, message=with_errors(job.state.message, [error])))
            arbiter.ledger.batch.change(job)
            arbiter.event(f"job.{job_id}", {"type": "job", **news(job)})

    def _publish_progress(self, job: Job) -> None:
        arbiter = self.arbiter
        if arbiter.feed is not None:
            body = wire.pack({"type": "progress", "at": arbiter.clock.now(), "id": job.id, "progress": job.progress})
            tell(arbiter.feed, Publish([(f"progress.{job.id}", body)], arbiter.ledger.seq))
