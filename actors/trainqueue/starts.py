"""How attempts are started: a hot start is one packet to a runner that was armed beforehand, a cold one waits for it.

A hot start goes out before anything is written: its attempt's row is on disk, and a later daemon learns from the claim
on which GPUs it went. Whoever held one of them before is over then, which holds for whole GPUs only: a job that shares
its GPU goes the written way, so that a later daemon never has to guess who else is on it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trainqueue.core import events as ev
from trainqueue.core.job import Pending, Queued
from trainqueue.messages.arbiter import Refill
from trainqueue.messages.runners import Armed, ArmFailed

if TYPE_CHECKING:
    from trainqueue.arbiter import GPUArbiter
    from trainqueue.batch import AttemptRow
    from trainqueue.bench import Attempt
    from trainqueue.core.job import Job

logger = logging.getLogger(__name__)


class Starts:
    """Part of the arbiter: called from its thread only, acts on its bench and its ledger."""

    def __init__(self, arbiter: GPUArbiter) -> None:
        self.arbiter, self.bench = arbiter, arbiter.bench
        self._refused: str | None = None
        """Why the machine did not let us prepare a start; logged when it changes."""
        self.refilling = False

    def hot(self, job: Job, gpu_ids: tuple[str, ...]) -> None:
        """If its attempt is prepared and on disk, and its GPUs are its own."""
        attempt = self.bench.attempts.get((job.id, job.attempt))
        shares = isinstance(job.state, Pending) and job.state.share is not None
        if attempt is None or shares or not attempt.durable or attempt.unwanted:
            return
        if attempt.spec is job.spec:
            self._go(attempt, gpu_ids)

    def cold(self, job: Job, gpu_ids: tuple[str, ...]) -> None:
        """Any other start waits until its runner is armed and its attempt's row on disk."""
        try:
            attempt = self.bench.arm(job)
        except OSError as error:
            self.refused(job.id, job.attempt, str(error))
            return
        self.bench.note(hot=attempt.going)
        attempt.gpu_ids = gpu_ids
        if attempt.runner is not None:
            self._write_row(attempt)

    def committed(self, rows: dict[tuple[int, int], AttemptRow | None]) -> None:
        """The rows of these attempts are on disk: those that were waiting for that go."""
        for key, row in rows.items():
            attempt = self.bench.attempts.get(key)
            if row is not None and attempt is not None:
                attempt.durable = True
                if attempt.gpu_ids is not None and not attempt.going and not attempt.unwanted:
                    self._go(attempt, attempt.gpu_ids)

    def _go(self, attempt: Attempt, gpu_ids: tuple[str, ...]) -> None:
        try:
            self.bench.go(attempt, gpu_ids, self._locked(gpu_ids))
        except OSError as error:
            logger.warning("the runner of job %d is gone: %s", attempt.job, error)
        self.refill_later()

    def _locked(self, gpu_ids: tuple[str, ...]) -> dict[str, bool]:
        """Those that another queue of this machine may see as well, and whether the job has them for itself."""
        cards = self.arbiter.core.board.cards
        measured = [gpu for gpu in gpu_ids if gpu in cards and cards[gpu].reading.measured]
        return dict.fromkeys(measured, None in self.arbiter.core.leases.on(gpu_ids[0]).values()) if measured else {}

    def _write_row(self, attempt: Attempt) -> None:
        """Who runs the attempt, on disk before it starts, so that a later daemon can ask what became of it."""
        assert attempt.runner is not None
        batch = self.arbiter.ledger.batch
        batch.rows[attempt.job, attempt.number] = attempt.runner.identity(self.bench.boot), attempt.gpu_ids or ()
        batch.promised = batch.promised or not attempt.going

    # -- what the armourer says

    def armed(self, message: Armed) -> None:
        try:
            attempt = self.bench.armed_with(message.job, message.attempt, message.runner)
        except OSError as error:  # no descriptor is left for its trainer
            self.cannot_arm(ArmFailed(message.job, message.attempt, str(error)))
            return
        if attempt is not None:
            self._arm_as_edited(message.job)
            self._write_row(attempt)
            self.arbiter.changed()
        else:
            self.arbiter.apply(ev.AttemptVoid(message.job, message.attempt))

    def _arm_as_edited(self, job: int) -> None:
        """It may have been edited, and even told to start, while its runner was being armed with what it was."""
        try:
            self.bench.arm(self.arbiter.core.jobs[job])
        except OSError as error:
            logger.warning("the runner of job %d is gone: %s", job, error)

    def cannot_arm(self, message: ArmFailed) -> None:
        self.bench.forget(message.job, message.attempt)
        self.refused(message.job, message.attempt, message.reason)

    def refused(self, job: int, number: int, reason: str) -> None:
        """The machine's trouble, not the job's: it keeps its place and waits."""
        if reason != self._refused:
            self._refused = reason
            logger.warning("cannot start job %d: %s; trying again", job, reason)
        known = self.arbiter.core.jobs.get(job)
        if known is not None and not isinstance(known.state, Queued):
            self.arbiter.apply_quietly(ev.AttemptVoid(job, number))
            self.arbiter.apply_quietly(ev.Block(f"nothing can be started: {reason}"))

    # -- getting ready for the next ones

    def refill_later(self) -> None:
        if not self.refilling:
            self.refilling = True
            self.arbiter.inbox.after(self.bench.patience(), Refill())

    def refill(self) -> None:
        """Idle runners, and the first in line armed for the next hand-over."""
        self.refilling = False
        self.bench.warm()
        try:
            if self._may_arm():
                self.bench.arm_ahead(self.arbiter.core)
        except OSError as error:
            logger.warning("cannot prepare the next start: %s", error)

    def refill_if_unarmed(self) -> None:
        if self._may_arm() and self.bench.unarmed(self.arbiter.core.next(1)):
            self.refill_later()

    def _may_arm(self) -> bool:
        return self.arbiter.ledger.error is None and self.arbiter.core.may_start()
