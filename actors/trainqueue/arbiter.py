"""The GPUArbiter actor: feeds the core, performs its effects, commits in batches.

The first change in a batch makes it tell itself `Flush`; FIFO puts that behind everything already queued.
One commit, and only then all answers, events and cold starts. A hand-over to an armed runner goes out
before the commit: its attempt's row is on disk already.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from trainqueue import wire
from trainqueue.actor import SelectingActor
from trainqueue.batch import Batch
from trainqueue.bench import MAX_ARMED
from trainqueue.core import events as ev
from trainqueue.core.job import Queued, Running
from trainqueue.errors import RequestError
from trainqueue.messages import (
    Answers,
    Calls,
    Due,
    Ended,
    Flush,
    Gone,
    Open,
    Progress,
    Publish,
    Refill,
    Started,
    TrainerFailed,
)
from trainqueue.recovery import recover
from trainqueue.requests import serve, unwritten
from trainqueue.view import job_view

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka

    from trainqueue.bench import Attempt, Bench
    from trainqueue.core.arbiter import Core
    from trainqueue.core.job import Job
    from trainqueue.gpus import Inventory
    from trainqueue.home import Home
    from trainqueue.inbox import Timer
    from trainqueue.journal import Journal
    from trainqueue.messages import Call

logger = logging.getLogger(__name__)
RETRY_COMMIT = 1.0
"""Seconds between tries while the disk refuses."""


class GPUArbiter(SelectingActor):
    """Owns all job and GPU state. Made with its collaborators; `Open` begins the work."""

    def __init__(
        self,
        core: Core,
        journal: Journal,
        home: Home,
        gpus: Inventory,
        identity: dict[str, Any],
        bench: Callable[[pykka.ActorRef[Any]], Bench],
        on_exit: Callable[[], None],
        on_crash: Callable[[BaseException | None], None],
    ) -> None:
        super().__init__(on_crash)
        self.core, self.journal, self.home, self.gpus = core, journal, home, gpus
        self.identity, self.on_exit = identity, on_exit
        self.bench = bench(self.actor_ref)
        self.desk: pykka.ActorRef[Any] | None = None
        self.feed: pykka.ActorRef[Any] | None = None
        self.seq = journal.last_seq()
        self.batch = Batch()
        self.disk_error: str | None = None
        self.closing = False
        """A shutdown has been answered; `leaving` follows when no job has to be waited for."""
        self.leaving = False
        self._answers: list[tuple[Call, bytes]] = []
        self._cold: list[tuple[Attempt, tuple[str, ...]]] = []
        self._flushing = False
        self._refilling = False
        self._alarm: Timer | None = None

    def receive(self, message: Any) -> None:
        match message:
            case Calls():
                for call in message.calls:
                    self._answers.append((call, serve(self, call)))
                self._changed()
            case Flush():
                self._flush()
            case Started():
                self._started(message)
            case Ended():
                self._ended(message)
            case Gone():
                self._gone(message)
            case TrainerFailed(job, attempt):
                self.bench.watch_again(job, attempt)
            case Progress():
                self._progressed(message)
            case Refill():
                self._refill()
            case Due():
                self.apply(ev.Tick())
            case Open(desk, feed):
                self.desk, self.feed = desk, feed
                recover(self)
                self.apply(ev.Tick())
                self._refill_later()
            case _:
                logger.error("unknown message %r", message)

    # -- events into the core, effects out of it

    def apply(self, event: ev.Event) -> None:
        """Raises RequestError, with nothing changed, for what cannot be had."""
        self.perform(self.core.handle(event, time.time()))

    def apply_quietly(self, event: ev.Event) -> None:
        """During recovery: change the state and write it down, but start nothing yet."""
        self.perform(self.core.handle(event, time.time(), dispatch=False))

    def perform(self, effects: list[ev.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, ev.Start):
                self._start_armed(effect.job, effect.gpu_ids)  # before all the writing: the GPU is idle
        for effect in effects:
            match effect:
                case ev.Changed(job):
                    self._job_changed(job)
                case ev.Moved(job):
                    self.batch.jobs[job.id] = job
                    self._event(f"job.{job.id}", {"type": "moved", **self._about(job)})
                case ev.ModeChanged(paused, draining):
                    self.batch.settings |= {"paused": "1" if paused else "", "draining": "1" if draining else ""}
                    self._event("queue", {"type": "queue", "paused": paused, "draining": draining})
                case ev.Start(job, gpu_ids):
                    self._start(job, gpu_ids)
                case ev.Stop(job_id, attempt, force):
                    self.bench.stop(job_id, attempt, force=force)
                case ev.WakeAt(at):
                    self.inbox.drop(self._alarm)
                    self._alarm = self.inbox.after(max(0.0, at - time.time()), Due())
                case ev.Drained():
                    self.leave()
        self._changed()

    def leave(self) -> None:
        """Stop serving once this batch is on disk; a drain is over with it."""
        self.leaving = True
        self.batch.settings["draining"] = ""

    def view(self, job: Job) -> dict[str, Any]:
        return job_view(job, self.core, self.home, time.time())

    def _about(self, job: Job) -> dict[str, Any]:
        return {"id": job.id, "state": job.state.name, "job": self.view(job)}

    def _job_changed(self, job: Job) -> None:
        self.batch.jobs[job.id] = job
        self._event(f"job.{job.id}", {"type": "job", **self._about(job)})
        if job.ended:
            self.bench.discard(job.id, job.attempt)
            self.batch.rows[job.id, job.attempt] = None

    def _event(self, topic: str, body: dict[str, Any]) -> None:
        self.seq += 1
        now = time.time()
        packed = wire.pack({"seq": self.seq, "epoch": self.identity["epoch"], "at": now, **body})
        self.batch.events.append((self.seq, now, topic, packed))

    # -- attempts

    def _start_armed(self, job: Job, gpu_ids: tuple[str, ...]) -> None:
        """The hot start: its attempt is prepared and on disk."""
        attempt = self.bench.attempts.get((job.id, job.attempt))
        if attempt is not None and attempt.durable and attempt.spec is job.spec:
            self._go(attempt, gpu_ids)

    def _start(self, job: Job, gpu_ids: tuple[str, ...]) -> None:
        """Any other start waits until its attempt's row is on disk."""
        try:
            attempt = self.bench.arm(job)
        except OSError as error:
            # The machine's trouble, not the job's: it keeps its place and waits.
            logger.warning("cannot prepare job %d: %s", job.id, error)
            self.apply_quietly(ev.AttemptVoid(job.id, job.attempt))
            self.apply_quietly(ev.Block(f"nothing can be started: {error.strerror or error}"))
            return
        self.batch.rows[job.id, job.attempt] = (attempt.runner.identity(self.bench.boot), gpu_ids)
        self.bench.note(hot=attempt.going)
        if not attempt.going:
            self._cold.append((attempt, gpu_ids))

    def _go(self, attempt: Attempt, gpu_ids: tuple[str, ...]) -> None:
        try:
            self.bench.go(attempt, gpu_ids)
        except OSError as error:
            logger.warning("the runner of job %d is gone: %s", attempt.job, error)
        self._refill_later()

    def _refill_later(self) -> None:
        if not self._refilling:
            self._refilling = True
            self.inbox.after(self.bench.patience(), Refill())

    def _refill(self) -> None:
        """An idle runner, and the first in line armed for the next hand-over."""
        self._refilling = False
        try:
            for job in [*self.core.line.page(0, self.bench.ahead())]:
                self._arm_ahead(job)
            self.bench.warm()
        except OSError as error:
            logger.warning("cannot prepare the next start: %s", error)

    def _arm_ahead(self, job: Job) -> None:
        if (job.id, job.attempt) in self.bench.attempts or self.core.line.position(job) is None:
            return
        if self.bench.armed() < MAX_ARMED and self.disk_error is None:
            attempt = self.bench.arm(job)
            self.batch.rows[job.id, job.attempt] = (attempt.runner.identity(self.bench.boot), ())
            self._changed()

    def _started(self, message: Started) -> None:
        self.apply(ev.AttemptStarted(message.job, message.attempt, message.pid, message.at))

    def _ended(self, message: Ended) -> None:
        self.apply(ev.AttemptEnded(message.job, message.attempt, message.result))
        self.batch.rows[message.job, message.attempt] = None

    def _gone(self, message: Gone) -> None:
        self.bench.forget(message.job, message.attempt)
        if message.verdict == "lost":
            self.apply(ev.AttemptLost(message.job, message.attempt, "runner-died"))
        elif message.verdict == "void":
            self.apply(ev.AttemptVoid(message.job, message.attempt))
        job = self.core.jobs.get(message.job)
        if job is None or isinstance(job.state, Queued):
            self.batch.rows.setdefault((message.job, message.attempt), None)
        self._changed()

    def _progressed(self, message: Progress) -> None:
        """Kept in memory and on the feed; written down only when the job's row is."""
        job = self.core.jobs.get(message.job)
        if job is None or job.attempt != message.attempt or not isinstance(job.state, Running):
            return
        job.progress = message.progress
        body = wire.pack({"type": "progress", "at": time.time(), "job": message.job, "progress": message.progress})
        if self.feed is not None:
            self.feed.tell(Publish([(f"progress.{message.job}", body)], self.seq))

    # -- the batch

    def _changed(self) -> None:
        if not self._flushing:
            self._flushing = True
            self.actor_ref.tell(Flush())

    def _flush(self) -> None:
        self._flushing = False
        if self.batch:
            try:
                self.batch.commit(self.journal)
            except sqlite3.Error as error:
                self._disk_refuses(error)
                return
            self.disk_error = None
        self._after_commit()

    def _disk_refuses(self, error: sqlite3.Error) -> None:
        """Keep everything and try again; say so to those who wait, and promise nothing."""
        if self.disk_error is None:
            logger.error("cannot write %s: %s; trying again every second", self.journal.path, error)
        self.disk_error = str(error)
        self._answers = [(call, unwritten(call, answer, str(error))) for call, answer in self._answers]
        self._answer()
        if self.leaving:
            self.on_exit()
        self._flushing = True
        self.inbox.after(RETRY_COMMIT, Flush())

    def _answer(self) -> None:
        """Calls may come before `Open` has told us whose they are; their answers wait for it."""
        if self._answers and self.desk is not None:
            self.desk.tell(Answers([(call.slot, answer) for call, answer in self._answers]))
            self._answers = []

    def _after_commit(self) -> None:
        batch, self.batch = self.batch, Batch()
        cold, self._cold = self._cold, []
        for key, row in batch.rows.items():
            if row is not None and key in self.bench.attempts:
                self.bench.attempts[key].durable = True
        for attempt, gpu_ids in cold:
            self._go(attempt, gpu_ids)
        self._answer()
        if batch.events and self.feed is not None:
            self.feed.tell(Publish([(topic, body) for _, _, topic, body in batch.events], self.seq))
        if self.leaving:
            self.on_exit()

    def refuse_changes(self) -> None:
        """Raises RequestError while nothing can be written, and once a shutdown has been answered."""
        if self.closing:
            raise RequestError("unavailable", "the daemon is shutting down; nothing was changed")
        if self.disk_error is not None:
            msg = f"nothing can be written ({self.disk_error}); nothing was changed, what was accepted before is safe"
            raise RequestError("unavailable", msg)

    def release(self) -> None:
        self.bench.close()
