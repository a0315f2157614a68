"""The GPUArbiter actor: feeds the core, performs its effects, commits in batches.

The first change in a batch makes it tell itself `Flush`; FIFO puts that behind everything already queued.
One commit, and only then all answers, events and cold starts. A hand-over to an armed runner goes out
before the commit: its attempt's row is on disk already.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from typing import TYPE_CHECKING, Any, assert_never

from trainqueue import wire
from trainqueue.actor import SelectingActor, stop_and_join, tell
from trainqueue.annals import Annals
from trainqueue.clock import ran
from trainqueue.controlops import Orders
from trainqueue.core import events as ev
from trainqueue.core.groups import is_let_down
from trainqueue.core.job import Pending, Queued, Running
from trainqueue.errors import RequestError
from trainqueue.forecaster import Forecaster
from trainqueue.ledger import Ledger
from trainqueue.messages.arbiter import (
    BlockOver,
    Due,
    FillReserve,
    Flush,
    Foretell,
    Open,
    Reconsider,
    Refill,
    ToArbiter,
    WatchAgain,
)
from trainqueue.messages.attempts import Ended, Gone, Progress, Pulse, Started, TellOrders, TrainerFailed
from trainqueue.messages.clients import Answers, Calls, Publish
from trainqueue.messages.files import Clean, OrdersWritten, Parting, Stir, Tidied
from trainqueue.messages.gpus import LookDue, ProofTimeOver, SettleTimeOver, Sighted, WatchSilent
from trainqueue.messages.runners import Armed, ArmFailed
from trainqueue.meter import Meter
from trainqueue.performer import Performer
from trainqueue.recovery import recover
from trainqueue.requests import may_change, reconsidered, serve
from trainqueue.reserve import Reserve
from trainqueue.sights import Sights
from trainqueue.stall import Rule, Stalls
from trainqueue.starts import Starts
from trainqueue.view import job_view

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka

    from trainqueue.bench import Bench
    from trainqueue.clock import WallClock
    from trainqueue.core.arbiter import Core
    from trainqueue.core.job import Job
    from trainqueue.home import Home
    from trainqueue.inbox import Timer
    from trainqueue.journal import Journal
    from trainqueue.messages.clients import Call
    from trainqueue.past import JournalPast
    from trainqueue.settings import AfterReboot

logger = logging.getLogger(__name__)
TRAINER_PAUSE = 1.0
"""Seconds from a trainer's crash to the next one; its job runs on meanwhile."""
NOTED = 5.0
"""Seconds that the annals get to finish."""
RETRY_COMMIT = 1.0
"""Seconds between tries while the disk refuses."""


class GPUArbiter(SelectingActor):
    """Owns all job and GPU state. Made with its collaborators; `Open` begins the work."""

    def __init__(
        self,
        core: Core,
        journal: Journal,
        home: Home,
        identity: dict[str, Any],
        bench: Callable[[pykka.ActorRef[Any]], Bench],
        on_exit: Callable[[], None],
        on_crash: Callable[[BaseException | None], None],
        clock: WallClock,
        after_reboot: AfterReboot = "continue",
        past: JournalPast | None = None,
        secret: tuple[str, ...] = (),
        stall: Rule = Rule(),  # noqa: B008  (a constant)
    ) -> None:
        super().__init__(on_crash)
        self.core, self.journal, self.home = core, journal, home
        self.clock, self.after_reboot = clock, after_reboot
        self.identity = identity
        self.bench = bench(self.actor_ref)
        self.annals = Annals.start(self.actor_ref, home, on_exit, on_crash)
        self.orders = Orders(self)
        self.starts, self.sights = Starts(self), Sights(self)
        self.performer = Performer(self)
        self.forecaster = Forecaster(self)
        self.past, self.secret = past, secret
        self.stalls = Stalls(self, stall)
        self.meter = Meter(core, journal, self.bench.boot)
        self.desk: pykka.ActorRef[Any] | None = None
        self.feed: pykka.ActorRef[Any] | None = None
        self.janitor: pykka.ActorRef[Any] | None = None
        self._stirred = True
        """The janitor is at work, or will soon be: it need not be told that something has changed."""
        self.ledger = Ledger(journal, Reserve(home.reserve), identity["epoch"], self._fill_later)
        self.closing = False
        """A shutdown has been answered; `leaving` follows when no job has to be waited for."""
        self.leaving = False
        self._open_with: Open | None = None
        """Told to open, and not open before the GPUs have been seen."""
        self._calls: deque[Call] = deque()
        self._flushing = False
        self._again: Timer | None = None
        """For the next commit, after one that the disk has refused."""

    def begin(self) -> None:
        self.inbox.watch(self.clock.fd, lambda: Due() if self.clock.rang() else None)

    def receive(self, message: ToArbiter) -> None:  # noqa: PLR0912  (one arm a message)
        match message:
            case Calls(calls):
                self._calls += calls
                if self.desk is not None:  # before `Open` nobody knows what runs: they wait
                    self._serve()
            case OrdersWritten(refused):
                self.orders.written(refused)
                self._serve()
            case Flush():
                self._flush()
            case Started(job, attempt, pid, at, began):
                self.apply(ev.AttemptStarted(job, attempt, pid, at, began))
            case Ended(job, attempt, result):
                self.apply(ev.AttemptEnded(job, attempt, result))
            case Gone():
                self._gone(message)
            case TrainerFailed(job, attempt):
                self.inbox.after(TRAINER_PAUSE, WatchAgain(job, attempt))
            case WatchAgain(job, attempt):
                self.watch(job, attempt)
            case Progress(job, attempt, progress):
                self.apply(ev.Progressed(job, attempt, progress))
            case Pulse(job, attempt, beats):
                self.stalls.pulse(job, attempt, beats=beats)
            case Reconsider(jobs):
                self._reconsider(jobs)
            case Refill():
                self.starts.refill()
            case Foretell():
                self.forecaster.step()
            case Due():
                self.apply(ev.Tick())
            case BlockOver(block):
                self.apply(ev.Unblock(block))
            case Armed():
                self.starts.armed(message)
            case ArmFailed():
                self.starts.cannot_arm(message)
            case FillReserve():
                self._fill_reserve()
            case Tidied():
                self._tidy(message)
            case Sighted() | WatchSilent() | LookDue() | ProofTimeOver() | SettleTimeOver():
                self.sights.receive(message)
            case Open():
                self._open_with = message
                if self.sights.begin(message.watch, message.sighting):
                    self.open_if_begun()
            case _:
                assert_never(message)

    def _fill_reserve(self) -> None:
        reserve, before = self.ledger.reserve, self.ledger.reserve.error
        if not reserve.fill():
            self._fill_later()
            if not reserve.disk_is_full and str(before) != str(reserve.error):
                logger.warning("going on without a reserve for a full disk: %s", reserve.error)

    def _fill_later(self) -> None:
        self.inbox.after(RETRY_COMMIT, FillReserve())

    def open_if_begun(self) -> None:
        """Once: with `Open` told, and the GPUs seen or waited for in vain."""
        message, self._open_with = self._open_with, None
        if message is None:
            return
        self.desk, self.feed, self.janitor = message.desk, message.feed, message.janitor
        self.sights.open()
        self._open()

    def _open(self) -> None:
        if self.journal.signs() >= 0:
            self.inbox.watch(self.journal.signs(), self.journal.look)
        recover(self)
        self._fill_reserve()
        if self.core.draining and not self.core.active():
            # The drain is over; whoever starts a daemon now wants it to serve.
            self.apply_quietly(ev.SetMode(self.core.paused, draining=False))
        self.apply(ev.Tick())
        self._reconsider(tuple(job.id for job in self.core.jobs.values() if is_let_down(job)))
        self.starts.refill_later()
        self._serve()
        self._to_janitor(Clean([], [], more=True))

    def _serve(self) -> None:
        while self._calls and not self.orders.waiting:
            if self.forecaster.delays(self._calls[0]):
                self._calls.popleft()
                continue
            if may_change(self) and self.orders.begin(self._calls[0].request):
                break
            answer, promises = serve(self, self._calls[0])
            self.orders.end()
            self.ledger.answer(self._calls.popleft(), answer, promises=promises)
        self.changed()

    def serve_now(self, call: Call) -> None:
        """One that only looks, and has waited for a forecast."""
        answer, promises = serve(self, call)
        self.ledger.answer(call, answer, promises=promises)
        self.changed()

    # -- events into the core, effects out of it

    def apply(self, event: ev.Event) -> None:
        """Raises RequestError, with nothing changed, for what cannot be had."""
        self.performer.perform(self.core.handle(event, self.clock.now()))
        self.forecaster.version += 1

    def apply_quietly(self, event: ev.Event) -> None:
        """During recovery: change the state and write it down, but start nothing yet."""
        self.performer.perform(self.core.handle(event, self.clock.now(), dispatch=False))
        self.forecaster.version += 1

    def view(self, job: Job) -> dict[str, Any]:
        expected = self.forecaster.of(job)
        return job_view(job, self.core, self.home, self.clock.now(), self.meter.usage.of(job), expected)

    def _reconsider(self, jobs: tuple[int, ...]) -> None:
        """Later, while the newest ends cannot be looked up."""
        try:
            for event in reconsidered(self, jobs):
                self.apply(event)
        except RequestError:
            self.inbox.after(RETRY_COMMIT, Reconsider(jobs))

    def event(self, topic: str, body: dict[str, Any]) -> None:
        self.ledger.note(topic, body, self.clock.now())

    # -- attempts

    def _gone(self, message: Gone) -> None:
        self.bench.forget(message.job, message.attempt, free=message.free)
        if message.verdict == "lost":
            logger.warning("job %d is lost: its runner was killed", message.job)
            state = getattr(self.core.jobs.get(message.job), "state", None)
            seconds = ran(state) if isinstance(state, Running) else None
            self.apply(ev.AttemptLost(message.job, message.attempt, "runner-died", seconds))
        elif message.refused is not None:
            self.starts.refused(message.job, message.attempt, message.refused)
        elif message.verdict == "void":
            self.apply(ev.AttemptVoid(message.job, message.attempt, runner_died=True))
        job = self.core.jobs.get(message.job)
        if job is None or isinstance(job.state, Queued) or job.attempt != message.attempt:
            self.ledger.batch.rows.setdefault((message.job, message.attempt), None)
        self.changed()

    def watch(self, job: int, number: int) -> None:
        """Have the attempt watched, from now or, where no descriptor is left for that, from a little later."""
        try:
            self.bench.watch(job, number)
        except OSError as error:
            logger.warning("job %d is not watched: %s; trying again", job, error)
            self.inbox.after(TRAINER_PAUSE, WatchAgain(job, number))
            return
        known = self.core.jobs.get(job)
        if known is None or known.attempt != number or not isinstance(known.state, Pending | Running):
            return
        ends = isinstance(known.state, Running) and bool(known.state.stall_ends_it)
        if known.state.stopping or ends:
            self.bench.stop(job, number, force=False, stalled=ends)  # it was wished while nobody watched
        if (self.home.attempt(job, number) / "orders").exists():
            self.bench.tell(job, number, TellOrders())
        self.stalls.watch(known)

    # -- the batch

    def changed(self) -> None:
        if not self._flushing:
            self._flushing = True
            self.actor_ref.tell(Flush())

    def _flush(self) -> None:
        self.inbox.drop(self._again)
        self._flushing = False
        self.meter.write(self.ledger.batch, self.clock.now())
        self.sights.write(self.ledger.batch)
        try:
            self.ledger.commit()
        except sqlite3.Error as error:
            self._disk_refuses(error)
        else:
            self._after_commit()
        self.meter.note(self.clock.now())  # last: nobody waits for it

    def _disk_refuses(self, error: sqlite3.Error) -> None:
        """Try again later. Raises DamagedError."""
        self.ledger.refused(error)
        self._answer()
        if self.leaving:
            tell(self.annals, Parting())
        self._flushing = True
        self._again = self.inbox.after(RETRY_COMMIT, Flush())
        self.apply_quietly(ev.Block(f"nothing can be written ({self.ledger.error})"))

    def _answer(self) -> None:
        if self.desk is None:
            return
        answers, unknown = self.ledger.take_answers()
        if answers:
            tell(self.desk, Answers(answers))
        for asked in unknown:
            tell(self.annals, asked)

    def _after_commit(self) -> None:
        batch = self.ledger.take_batch()
        if self.past is not None:
            self.past.written(batch.jobs.values())
        self.starts.committed(batch.rows)
        self._answer()
        if batch.events and self.feed is not None:
            tell(self.feed, Publish([(topic, body) for _, _, topic, body in batch.events], self.ledger.seq))
        if batch.events and not self._stirred:
            self._stirred = True
            self._to_janitor(Stir())
        self.starts.refill_if_unarmed()
        if self.leaving:
            tell(self.annals, Parting())

    # -- retention

    def _tidy(self, message: Tidied) -> None:
        """One small step behind everything that has changed so far, so that the journal says what we know."""
        self._flush()
        work, forgotten = self.ledger.tidy(message)
        if forgotten:
            self.apply_quietly(ev.Forgotten(forgotten))
        self._stirred = bool(work.measure or work.remove or work.more or work.refused or work.snapshots)
        self._to_janitor(work)

    def _to_janitor(self, message: Clean | Stir) -> None:
        if self.janitor is not None:
            tell(self.janitor, message)

    def on_stop(self) -> None:
        self.meter.close(self.clock.now())  # not after a crash: what has ended us may be the database
        super().on_stop()

    def release(self) -> None:
        """Whoever still waits for an answer gets one: a REP without would be stuck."""
        sentence = "the daemon is leaving; what it has not confirmed may not have been written down"
        waiting = [*self.ledger.waiting(), *self.forecaster.waiting(), *self._calls]
        self.ledger.take_answers()
        self._calls.clear()
        for call in waiting:
            self.ledger.answer(call, wire.refusal(call.request.id, "unavailable", sentence), promises=False)
        self._answer()
        stop_and_join(self.annals, NOTED)
        self.bench.close()
