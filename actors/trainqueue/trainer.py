"""One TrainerActor per attempt: watches its runner and its progress, and tells the arbiter what happened."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from typing import TYPE_CHECKING, Any, Literal, assert_never

import pykka

from trainqueue.actor import SelectingActor
from trainqueue.core.events import Result
from trainqueue.launch import leftovers, orders, verdict
from trainqueue.messages.attempts import (
    Decide,
    Ended,
    FeelPulse,
    Gone,
    KeepSeries,
    LookAtLog,
    LookAtProgress,
    LookAtPulse,
    Progress,
    Pulse,
    Started,
    StopAttempt,
    TellOrders,
    ToTrainer,
    TrainerFailed,
)
from trainqueue.seriesfile import SeriesFile
from trainqueue.sources import Sources
from trainqueue.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainqueue.inbox import Timer
    from trainqueue.launch.local import Runner

PATIENCE, MOST_PATIENCE = 0.01, 2.0
"""Seconds between looks at an attempt whose end is not clear yet, doubled each time."""
logger = logging.getLogger(__name__)
BLIND = 1.0
"""Seconds between looks at progress.json where inotify cannot be had."""
CALM = 0.1
"""Seconds from one reading of progress.json to the next."""
APART, BREATH = 0.5, 0.001
"""Seconds from one reading of the log to the next, and between the pieces of one."""


class TrainerActor(SelectingActor):
    """Created when a runner is armed, or when one that runs is taken over; stops itself when the runner has exited.

    Without a runner (it died while no daemon lived) it only finds out what became of the attempt. The bench owns the
    runner: a trainer that crashes is followed by another one.
    """

    def __init__(
        self,
        arbiter: pykka.ActorRef[Any],
        runner: Runner | None,
        job: int,
        attempt: int,
        folder: Path,
        log: str = "",
        command: Sequence[str] = (),
        *,
        started: bool,
    ) -> None:
        """`log` is the path of the job's, from which its progress is read; none where there is no name."""
        super().__init__(self._crashed)
        self.arbiter = arbiter
        self.runner = runner
        self.job = job
        self.attempt = attempt
        self.folder = folder
        self.started = started
        self.told: dict[str, Any] = verdict.started_in(folder) if started else {}
        """What its runner has said at the start: somebody may remove its claim."""
        self.vitals: Vitals | None = None
        self.stops: list[signal.Signals] = []
        """Asked for and not passed on yet."""
        self.refused: str | None = None
        """Why the machine did not let it start, in the runner's words."""
        self.ended = self.over = False
        """The job has ended; the runner has been let go."""
        self.log, self.command = log, command
        self.sources: Sources | None = None
        self.series = SeriesFile(folder.parent, attempt)
        self.suspended_at: float | None = None
        self.next_look: Timer | None = None
        """At the log."""
        self.patience = PATIENCE

    def begin(self) -> None:
        if self.started:
            self._watch_progress(grown=True)
            self._note_suspension()
        if self.runner is None:
            self._decide()
            return
        if self.runner.sock is not None:
            self.inbox.watch(self.runner.sock.fileno(), self._packet)
        self.inbox.watch(self.runner.pidfd, self._exited)

    def receive(self, message: ToTrainer) -> None:
        match message:
            case StopAttempt(force, stalled):
                if stalled:
                    self._say_why()
                self.stops.append(signal.SIGQUIT if force else signal.SIGTERM)
                self._pass_stops_on()
            case TellOrders():
                self.stops.append(signal.SIGUSR2)
                self._pass_stops_on()
                self._note_suspension()
            case LookAtProgress():
                self._progress()
            case LookAtLog():
                self._read_log()
            case KeepSeries():
                self.series.keep()
            case Decide():
                self._decide()
            case FeelPulse(every, log):
                if self.runner is not None and self.vitals is None:
                    self.vitals = Vitals(self.runner.pid, log, every)
                    self.inbox.after(every, LookAtPulse())
            case LookAtPulse():
                self._pulse()
            case _:
                assert_never(message)

    def _say_why(self) -> None:
        """It stalls: for the record. The runner takes up this order before the end that follows (SIGUSR2 is lower)."""
        with contextlib.suppress(OSError):
            orders.append(self.folder, {"stalled": True})
            self.stops.append(signal.SIGUSR2)

    def _pass_stops_on(self) -> None:
        """Only once it has started: as long as a runner is being armed, it throws signals away as the last job's."""
        if self.started and self.runner is not None:
            for number in self.stops:
                self.runner.signal(number)
            self.stops.clear()

    # -- what the runner says

    def _packet(self) -> None:
        while self.runner is not None and (packet := self.runner.receive()) is not None:
            if not packet and self.runner.sock is not None:
                self.inbox.forget(self.runner.sock.fileno())
                return
            self._said(packet)

    def _said(self, packet: dict[str, Any]) -> None:
        if "started" in packet:
            self.started, started = True, packet["started"]
            self.told = started
            self._tell(Started(self.job, self.attempt, started["pid"], started["at"], started.get("began")))
            self._pass_stops_on()
            self._watch_progress(grown=False)
        elif "refused" in packet:
            self.refused = packet["refused"]
        elif "ended" in packet:
            self._tell_ended(verdict.result_of(packet["ended"]))
        elif "free" in packet:
            self._let_go()

    def _tell_ended(self, result: Result) -> None:
        if not self.ended:
            self.ended = True
            self._report(result)  # the last word, written just before the end
            self._tell(Ended(self.job, self.attempt, result))
            self.series.keep()  # nobody waits for it any more

    def _let_go(self) -> None:
        """The record is written, and the runner will serve another attempt: from here on it is not ours."""
        assert self.runner is not None
        assert self.runner.sock is not None
        record = None if self.ended else verdict.record_in(self.folder)  # a trainer that crashed has heard of the end
        if record is not None:
            self._tell_ended(record)
        for fd in (self.runner.sock.fileno(), self.runner.pidfd):
            self.inbox.forget(fd)
        self.runner, self.over = None, True
        self._tell(Gone(self.job, self.attempt, None, free=True))
        self.actor_ref.stop(block=False)

    def _exited(self) -> None:
        """The pidfd is readable: the runner is gone, and what it said lies in the socket or the folder."""
        assert self.runner is not None
        self.inbox.forget(self.runner.pidfd)
        if self.runner.sock is not None:
            self._packet()
        if not self.over:
            self._decide()

    def _decide(self) -> None:
        """Say what became of the attempt, at once or as soon as that can be said; the GPU is held until then."""
        found = None if self.ended else self._verdict()
        if found == "unclear":
            self.inbox.after(self.patience, Decide())
            longer = min(2 * self.patience, MOST_PATIENCE)
            if longer == MOST_PATIENCE > self.patience:
                logger.warning("the runner of job %d is gone; its GPU is held until nothing of it lives", self.job)
            self.patience = longer
            return
        if isinstance(found, Result):
            self._tell_ended(found)
            found = None
        self.runner = None  # the bench closes it when it hears that, whatever we are still told to do with it
        self._tell(Gone(self.job, self.attempt, found, refused=self.refused))
        self.actor_ref.stop(block=False)

    def _verdict(self) -> Result | Literal["void", "lost", "unclear"]:
        """Unclear while the disk refuses, or while something lives that a killed runner could not clean up."""
        if self.refused is not None:
            return "void"
        try:
            found = verdict.verdict(self.folder)
        except OSError as error:
            logger.warning("cannot say what became of job %d yet: %s", self.job, error)
            return "unclear"
        if found == "void" and self.started:
            found = "lost"  # somebody has removed its claim
        return "unclear" if found == "lost" and leftovers.sweep(self.folder, self.told) else found

    def _tell(self, fact: object) -> None:
        with contextlib.suppress(pykka.ActorDeadError):  # the next daemon finds the record
            self.arbiter.tell(fact)

    def _crashed(self, error: BaseException | None) -> None:
        del error  # the base has logged it
        self._tell(TrainerFailed(self.job, self.attempt))

    # -- progress

    def _watch_progress(self, *, grown: bool) -> None:
        """`grown`: it may have said much before we came."""
        if self.sources is None:
            self.sources = Sources(self.folder.parent, self.log, self.command, grown=grown)
            self.inbox.after(CALM, LookAtProgress())  # a short job never pays for inotify, nor for its log

    def _progress(self) -> None:
        """Tell what is new, then wait for the next change; where inotify is blind, look again and again."""
        assert self.sources is not None
        fresh = self.sources.fd is None
        if fresh:
            self.sources.watch()
        _, log = self.sources.stirred()  # asked before it is looked at: what changes meanwhile wakes us again
        self._report()
        if fresh or log:
            self._read_log()
        if self.sources.fd is None:
            self.inbox.after(BLIND, LookAtProgress())
        else:
            self.inbox.watch(self.sources.fd, self._changed)

    def _changed(self) -> None:
        """Let a script that reports a thousand times a second wake us a few times only; its log does so by itself."""
        assert self.sources is not None
        assert self.sources.fd is not None
        file, log = self.sources.stirred()
        if file:
            self.inbox.forget(self.sources.fd)
            self.inbox.after(CALM, LookAtProgress())
            self._report()
        if log:
            self._read_log()

    def _read_log(self) -> None:
        """In pieces, since others want the processor, too; then wait for time to pass, or for it to grow."""
        assert self.sources is not None
        self.inbox.drop(self.next_look)
        self.next_look = None
        if self.sources.read_log():
            self.next_look = self.inbox.after(BREATH, LookAtLog())
            return
        self._report()
        if self.sources.fd is not None and (self.sources.has_read() or self.sources.watch_log()):
            self.next_look = self.inbox.after(APART, LookAtLog())

    def _note_suspension(self) -> None:
        """A job that is not let run is not slow."""
        given = [order for order in orders.given(self.folder) if "suspend" in order or "continue" in order]
        suspended = bool(given) and "suspend" in given[-1]
        if suspended and self.suspended_at is None:
            self.suspended_at = time.monotonic()
        elif not suspended and self.suspended_at is not None:
            if self.sources is not None:
                self.sources.suspended(time.monotonic() - self.suspended_at)
            self.suspended_at = None

    def _report(self, result: Result | None = None) -> None:
        """The one place where progress is told. `result`: the job has ended so, and this is the last time."""
        if self.sources is None:
            return
        try:
            values = self.sources.news() if result is None else self.sources.last_words(well=result.exit_code == 0)
        except Exception:  # a fault of ours in reading what a job says must not cost it its watch
            logger.exception("the progress of job %d cannot be told", self.job)
            return
        if values is not None:
            if self.vitals is not None:
                self.vitals.beats = True
            self._tell(Progress(self.job, self.attempt, values))
            if (seconds := self.series.take(values)) is not None:
                self.inbox.after(seconds, KeepSeries())

    # -- whether it does anything

    def _pulse(self) -> None:
        if self.runner is not None and self.vitals is not None and not self.ended:
            self._tell(Pulse(self.job, self.attempt, self.vitals.look()))
            self.inbox.after(self.vitals.every, LookAtPulse())

    def release(self) -> None:
        self.series.keep()
        if self.sources is not None:
            self.sources.close()
