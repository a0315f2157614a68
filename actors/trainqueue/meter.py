"""The arbiter's book of where the time went: tells usage.py how things stand, and has its sums written down.

They go with batches that are written anyway, at most once a second, and at the stop. What is missing after a death is
the time since then: that of GPUs which were held before and after it is known even so.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from trainqueue.core.why import why
from trainqueue.errors import TrainqError
from trainqueue.usage import HELD, Figures, Moment, Usage, rounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainqueue.batch import Batch
    from trainqueue.core.arbiter import Core
    from trainqueue.core.job import Job
    from trainqueue.journal import Journal

SETTING = "usage"
HELD_OR_FREE = frozenset({HELD, None})
APART = 1.0
"""Seconds between two writings."""


class Meter:
    """Part of the arbiter: called from its thread only."""

    def __init__(self, core: Core, journal: Journal, boot: str) -> None:
        self.core, self.journal = core, journal
        self.usage = Usage(time.monotonic(), boot, journal.setting(SETTING))
        self._written = 0.0
        self._facts: object = None
        self._moment = Moment()
        """How things stand, which follows from the facts."""

    def note(self, wall: float) -> None:
        """After a batch of changes. `wall`: seconds since 1970, for what a job waits for."""
        core, head = self.core, self.core.line.head()
        facts = (core.plans.version, core.wanted(), head and head.id, core.paused, core.draining, core.blocked)
        if facts != self._facts:
            self._facts, self._moment = facts, self._look(head, wall)
        self.usage.note(time.monotonic(), self._moment)

    def _look(self, head: Job | None, wall: float) -> Moment:
        wanted = self.core.wanted()
        uses = self._uses()
        reason = None if head is None else self._reason(head, uses, wall)
        return Moment(uses, wanted, None if head is None or reason is None else (head.id, reason, head.stood))

    def _reason(self, head: Job, uses: Mapping[str, str | None], wall: float) -> str | None:
        """What the first in line waits for; asked for in full only where it may be anything but its turn."""
        usual = self.core.may_start() and head.spec.gpu_memory is None and HELD_OR_FREE.issuperset(uses.values())
        return "position" if usual else why(self.core, head, wall)[0]

    def _uses(self) -> dict[str, str | None]:
        """A free GPU has no use, or is being looked at for a start."""
        uses: dict[str, str | None] = {gpu: self.core.use(gpu) for gpu in self.core.board.cards}
        for gpu in [gpu for gpu, use in uses.items() if use == "free"]:
            uses[gpu] = "starting" if self.core.looks.pending(gpu) else None
        return uses

    def ended(self, job: Job, wall: float) -> None:
        """Its figures go into the job that is about to be written down."""
        if self.usage.standing() == job.id:
            self.note(wall)
        job.stood = self.usage.of(job)
        self.usage.forget(job.id)

    def write(self, batch: Batch, wall: float) -> None:
        """Into a batch that is about to be written."""
        now = time.monotonic()
        if batch and now - self._written >= APART:
            self._written = now
            self.note(wall)
            batch.settings[SETTING] = self.usage.text()

    def close(self, wall: float) -> None:
        """At the stop, when nothing else will be written."""
        with contextlib.suppress(sqlite3.Error, TrainqError):
            self.note(wall)
            self.journal.rollback()  # what queries were shown of a batch that was not written
            self.journal.begin(durable=False)
            self.journal.set(SETTING, self.usage.text())
            self.journal.commit()

    def figures(self) -> list[dict[str, Any]]:
        """Of each GPU that was ever used, for the wire; `index` is null for one that is not in the machine."""
        known = {gpu: card.reading.index for gpu, card in self.core.board.cards.items()}
        ids = [*known, *sorted(self.usage.gpus.keys() - known.keys())]
        found = [(gpu, self.usage.gpus.get(gpu, Figures())) for gpu in ids]
        return [
            {"id": gpu, "index": known.get(gpu), "held": round(sums.held, 3), "idle": rounded(sums.idle)}
            for gpu, sums in found
        ]
