"""The Janitor actor: retention beside the arbiter, which only writes down what it is told here, step by step.

It measures the logs of ended jobs and removes what the journal has given up. A step of the arbiter (`Tidied`) is
answered by the next work (`Clean`); while there is some, steps follow one another with a pause for everybody else.
Then it sleeps until something has changed, or an hour.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import pykka

from trainqueue.actor import SelectingActor
from trainqueue.frozen.kept import Seen
from trainqueue.messages.files import Clean, Stir, TakeStep, Tidied
from trainqueue.removal import remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainqueue.home import Home
    from trainqueue.inbox import Timer
    from trainqueue.messages.files import ToJanitor
    from trainqueue.settings import HistorySettings

logger = logging.getLogger(__name__)
PAUSE, SOON, LATER = 0.05, 10.0, 3600.0
"""Seconds to the next step: while there is work, after something has changed or the disk has refused, and for what only
grows old."""
OUTPUT = re.compile(r"output(?:\.(\d+))?\.log|series\.(\d+)\.json")
"""A log, or the beginning of its name; the first attempt's has no number. An attempt's series go with its log."""
FOLDER = re.compile(r"attempt-(\d+)")


class Janitor(SelectingActor):
    """Told by `arbiter` when to begin: the first message is a `Clean`."""

    def __init__(
        self,
        arbiter: pykka.ActorRef[Any],
        home: Home,
        limits: HistorySettings,
        on_crash: Callable[[BaseException | None], None],
    ) -> None:
        super().__init__(on_crash)
        self.arbiter, self.home, self.limits = arbiter, home, limits
        self._next: Timer | None = None
        self._stuck: set[tuple[int, int | None]] = set()
        """What could not be removed: named once, and tried again by the next daemon."""
        self._seen, self._kept = Seen(), set[str]()
        """Snapshots, and those among them that could not be removed."""

    def receive(self, message: ToJanitor) -> None:
        match message:
            case Clean():
                measured = [(job, attempt, log_bytes(self.home, job)) for job, attempt in message.measure]
                removed = [job for job, attempt in message.remove if self._remove(job, attempt)]
                dropped = [name for name in message.snapshots if self._drop(name)]
                idle = SOON if message.refused or message.snapshots else LATER
                busy = measured or removed or dropped or message.more
                self._step_in(PAUSE if busy else idle, TakeStep(measured, removed))
            case Stir():
                self._step_in(SOON, TakeStep([], []))
            case TakeStep(measured, removed):
                with contextlib.suppress(pykka.ActorDeadError):
                    self.arbiter.tell(Tidied(measured, removed, self.limits, self._old_snapshots()))
            case _:
                assert_never(message)

    def _old_snapshots(self) -> list[str]:
        try:
            return [name for name in self._seen.old(self.home.snapshots) if name not in self._kept]
        except OSError as error:
            logger.warning("retention: cannot look through %s: %s", self.home.snapshots, error)
            return []

    def _drop(self, snapshot: str) -> bool:
        """Whether it is gone."""
        try:
            error = remove(self.home.snapshots / snapshot)
        except OSError as refused:
            error = refused
        if error is not None:
            logger.warning("retention: cannot remove all of %s: %s", self.home.snapshots / snapshot, error)
            self._kept.add(snapshot)
        return error is None

    def _step_in(self, seconds: float, step: TakeStep) -> None:
        self.inbox.drop(self._next)
        self._next = self.inbox.after(seconds, step)

    def _remove(self, job: int, attempt: int | None) -> bool:
        """Whether it is gone."""
        if (job, attempt) in self._stuck:
            return False
        try:
            error = remove(self.home.job(job)) if attempt is None else remove_logs(self.home, job, attempt)
        except OSError as refused:
            error = refused
        if error is not None:
            logger.warning("retention: cannot remove all of %s: %s", self.home.job(job), error)
            self._stuck.add((job, attempt))
        return error is None


def entries(home: Home, job: int) -> Iterator[os.DirEntry[str]]:
    with contextlib.suppress(FileNotFoundError), os.scandir(home.job(job)) as found:
        yield from found


def log_bytes(home: Home, job: int) -> int:
    """Of all its attempts; 0 where nobody can say."""
    try:
        logs = [entry for entry in entries(home, job) if OUTPUT.match(entry.name)]
        return sum(on_disk(log.stat(follow_symlinks=False)) for log in logs)
    except OSError as error:
        logger.warning("retention: cannot measure the logs of job %d: %s", job, error)
        return 0


def on_disk(found: os.stat_result) -> int:
    """A log that was cut has a hole in it, which takes no room."""
    return min(found.st_size, found.st_blocks * 512)


def remove_logs(home: Home, job: int, attempt: int) -> OSError | None:
    """Logs and runner's folders up to this attempt; what the job itself has put beside them stays.

    Why something is left, None when nothing is. Raises OSError.
    """
    left: OSError | None = None
    for entry in entries(home, job):
        if (log := OUTPUT.match(entry.name)) and int(log[1] or log[2] or 1) <= attempt:
            try:
                os.unlink(entry.path)  # noqa: PTH108  (of a DirEntry)
            except OSError as error:
                left = left or error
        elif (folder := FOLDER.fullmatch(entry.name)) and int(folder[1]) <= attempt:
            left = remove(Path(entry.path)) or left
    return left
