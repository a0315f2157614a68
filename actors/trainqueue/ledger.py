"""What the arbiter writes down, and the answers that wait for it: one batch, one commit, and only then all answers.

A batch that the disk refuses stays as it is and is written again later; what promises it is answered as not written.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from trainqueue import wire
from trainqueue.batch import Batch
from trainqueue.damage import DamagedError, is_damage, reason
from trainqueue.errors import RequestError
from trainqueue.frozen.kept import give_up
from trainqueue.home import Home
from trainqueue.messages.files import Clean, LookUp
from trainqueue.reserve import is_full

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainqueue.journal import Journal
    from trainqueue.messages.clients import Call
    from trainqueue.messages.files import Tidied
    from trainqueue.reserve import Reserve

logger = logging.getLogger(__name__)
T = TypeVar("T")
Answer = bytes | LookUp


class Ledger:
    """Owned by the arbiter. `seq` is the number of the newest event, written or not."""

    def __init__(self, journal: Journal, reserve: Reserve, epoch: str, on_spent: Callable[[], None]) -> None:
        """`on_spent` is called when the reserve has been given up, and must see to it that it is filled again."""
        self.journal, self.reserve, self.epoch, self.on_spent = journal, reserve, epoch, on_spent
        self.batch = Batch()
        self.seq = journal.last_seq()
        self.error: str | None = None
        """Why the disk refuses; None while it does not."""
        self._untidy: str | None = None
        """Why it has refused the last step of retention; logged when it changes."""
        self._answers: list[tuple[Call, Answer, bool]] = []
        """A call, its answer, and whether that promises what the batch holds."""

    def note(self, topic: str, body: dict[str, Any], now: float) -> None:
        """An event, with the next number."""
        self.seq += 1
        packed = wire.pack({"seq": self.seq, "epoch": self.epoch, "at": now, **body})
        self.batch.events.append((self.seq, now, topic, packed))

    def answer(self, call: Call, answer: Answer, *, promises: bool) -> None:
        self._answers.append((call, answer, promises))

    def waiting(self) -> list[Call]:
        return [call for call, _, _ in self._answers]

    def take_answers(self) -> tuple[list[tuple[int, bytes]], list[LookUp]]:
        """Slots and answers, and those that are to be looked up."""
        answers, self._answers = self._answers, []
        ready = [(call.slot, answer) for call, answer, _ in answers if isinstance(answer, bytes)]
        return ready, [answer for _, answer, _ in answers if isinstance(answer, LookUp)]

    def commit(self) -> None:
        """Raises sqlite3.Error when the disk refuses and no reserve helps."""
        if not self.batch:
            return
        self._write(lambda: self.batch.commit(self.journal))
        self.error = None

    def _write(self, write: Callable[[], T]) -> T:
        """On a full disk once more, with the reserve given up. Raises sqlite3.Error when that does not help."""
        try:
            return write()
        except sqlite3.Error as error:
            if not (is_full(error, self.reserve.path.parent) and self.reserve.spend()):
                raise
            logger.warning("%s: living on the reserve; new jobs are refused until there is space", error)
            self.on_spent()
            return write()

    def show(self) -> None:
        """Let a query see what the batch has changed. Raises RequestError while nothing can be written."""
        try:
            self.batch.show(self.journal)
        except sqlite3.Error as error:
            if is_damage(error):
                raise DamagedError(self.journal.path, error) from error
            why = reason(error, self.journal.path)
            raise RequestError("unavailable", f"the newest changes cannot be looked through now ({why})") from error

    def take_batch(self) -> Batch:
        """What has been committed; a new one begins."""
        batch, self.batch = self.batch, Batch()
        return batch

    def tidy(self, done: Tidied) -> tuple[Clean, dict[str, int]]:
        """One step of retention: what comes next, and how many records of each state are gone.

        While the disk refuses, no step is taken, since the journal does not say what we know; but what was given up
        before goes even so: that makes room.
        """
        try:
            if self.error is None:
                return self._step(done)
        except sqlite3.Error as error:
            why = reason(error, self.journal.path)
            if self._untidy != why:
                self._untidy = why
                logger.warning("retention: cannot tidy %s: %s; trying again later", self.journal.path, why)
            if is_damage(error):  # in the history it does not end the daemon: whoever reads there is told of `doctor`
                return Clean([], [], more=False), {}
        remove: list[tuple[int, int | None]] = []
        with contextlib.suppress(sqlite3.Error):
            remove = self.journal.rubbish(max(done.removed, default=0))
        return Clean([], remove, more=False, refused=True), {}

    def _step(self, done: Tidied) -> tuple[Clean, dict[str, int]]:
        """Worth the reserve when it removes files. Raises sqlite3.Error, nothing changed."""
        plan = self.journal.plan(done.limits)
        step = partial(self.journal.tidy, plan, done.measured, done.removed)
        found = self._write(step) if plan.removes_files else step()
        self._untidy = None
        unused = give_up(Home(self.journal.path.parent), done.snapshots, self.journal.uses)
        return Clean(found.measure, found.remove, found.more, snapshots=unused), found.forgotten

    def refused(self, error: sqlite3.Error) -> None:
        """Keep everything; say so to those who wait, and promise nothing.

        Raises DamagedError, which ends the daemon: what is damaged must not be written to.
        """
        if is_damage(error):
            raise DamagedError(self.journal.path, error) from error
        why = reason(error, self.journal.path)
        if self.error != why:
            logger.error("cannot write %s: %s; trying again every second", self.journal.path, why)
        self.error = why
        self._answers = [
            (call, unwritten(call, self.error) if promises else answer, False)
            for call, answer, promises in self._answers
        ]


def unwritten(call: Call, error: str) -> bytes:
    """The answer to a change whose batch could not be written."""
    advice = "It is done once it can be, unless the daemon dies before: look at the queue then"
    return wire.refusal(call.request.id, "unavailable", f"this could not be written down yet ({error}). {advice}")
