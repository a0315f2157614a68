"""One TrainerActor per attempt: watches its runner and its progress, and tells the arbiter what happened."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from typing import TYPE_CHECKING, Any

from trainqueue.actor import SelectingActor
from trainqueue.core.events import Result
from trainqueue.launch import verdict
from trainqueue.messages import Ended, Gone, LookAtProgress, Progress, Started, StopAttempt
from trainqueue.progress import ProgressFile

if TYPE_CHECKING:
    from pathlib import Path

    import pykka

    from trainqueue.launch.local import Runner

logger = logging.getLogger(__name__)
BLIND = 1.0
"""Seconds between looks at progress.json where inotify cannot be had."""
CALM = 0.1
"""Seconds from one reading of progress.json to the next."""
SWEEPS = 200
"""Rounds, 10 ms apart, to wait for the end of what a dead runner left behind."""


class TrainerActor(SelectingActor):
    """Created when a runner is armed, or when a daemon adopts one; stops itself when the runner has exited."""

    def __init__(self, arbiter: pykka.ActorRef[Any], runner: Runner, job: int, attempt: int, folder: Path) -> None:
        super().__init__()
        self.arbiter = arbiter
        self.runner = runner
        self.job = job
        self.attempt = attempt
        self.folder = folder
        self.ended = False
        self.progress: ProgressFile | None = None

    def on_start(self) -> None:
        if self.runner.sock is not None:
            self.inbox.watch(self.runner.sock.fileno(), self._packet)
        else:
            self._watch_progress()
        self.inbox.watch(self.runner.pidfd, self._exited)

    def on_receive(self, message: Any) -> None:
        match message:
            case StopAttempt(force):
                self.runner.signal(signal.SIGQUIT if force else signal.SIGTERM)
            case LookAtProgress():
                self._progress()
            case _:
                logger.error("unknown message %r", message)

    # -- what the runner says

    def _packet(self) -> None:
        assert self.runner.sock is not None
        while (packet := self.runner.receive()) is not None:
            if not packet:
                self.inbox.forget(self.runner.sock.fileno())
                return
            self._said(packet)

    def _said(self, packet: dict[str, Any]) -> None:
        if "started" in packet:
            started = packet["started"]
            self.arbiter.tell(Started(self.job, self.attempt, started["pid"], started["at"]))
            self._watch_progress()
        elif "ended" in packet:
            self._tell_ended(verdict.result_of(packet["ended"]))
        elif "error" in packet:
            now = time.time()
            self._tell_ended(Result(None, None, "start-failed", str(packet["error"]), now, now))

    def _tell_ended(self, result: Result) -> None:
        if not self.ended:
            self.ended = True
            self._report()  # the last word, written just before the end
            self.arbiter.tell(Ended(self.job, self.attempt, result))

    def _exited(self) -> None:
        """The pidfd is readable: the runner is gone, and what it said lies in the socket or the folder."""
        self.inbox.forget(self.runner.pidfd)
        if self.runner.sock is not None:
            self._packet()
        self.runner.reap()
        found = None if self.ended else verdict.verdict(self.folder)
        if isinstance(found, Result):
            self._tell_ended(found)
            found = None
        if found == "lost":
            self._clear_away()
        with contextlib.suppress(Exception):  # the arbiter may have stopped: the next one will find the record
            self.arbiter.tell(Gone(self.job, self.attempt, found))
        self.stop()

    def _clear_away(self) -> None:
        """A killed runner cannot clean up: its tree must be gone before the GPU is given on."""
        pid = verdict.started_in(self.folder).get("pid")
        for _ in range(SWEEPS):
            if not verdict.sweep(self.folder.parent, pid):
                return
            time.sleep(0.01)

    # -- progress

    def _watch_progress(self) -> None:
        if self.progress is None:
            self.progress = ProgressFile(self.folder.parent / "progress.json")
            self.inbox.after(CALM, LookAtProgress())  # a short job never pays for inotify

    def _progress(self) -> None:
        """Tell what is new, then wait for the next change; where inotify is blind, look again and again."""
        assert self.progress is not None
        if self.progress.fd is None:
            self.progress.watch()
        self._report()
        if self.progress.fd is None:
            self.inbox.after(BLIND, LookAtProgress())
        else:
            self.inbox.watch(self.progress.fd, self._changed)

    def _changed(self) -> None:
        """Let a script that reports a thousand times a second wake us a few times only."""
        assert self.progress is not None
        assert self.progress.fd is not None
        self.inbox.forget(self.progress.fd)
        self._report()
        self.inbox.after(CALM, LookAtProgress())

    def _report(self) -> None:
        values = self.progress.read() if self.progress is not None else None
        if values is not None:
            self.arbiter.tell(Progress(self.job, self.attempt, values))

    def stop(self) -> None:
        self.actor_ref.stop(block=False)

    def release(self) -> None:
        if self.progress is not None:
            self.progress.close()
        self.runner.close()
