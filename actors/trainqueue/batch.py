"""What waits for the next commit: changed jobs, attempts' rows, events, answered keys, settings.

Filled while the arbiter works through its mailbox and written as one transaction. When the disk refuses,
the batch stays as it is and is written again later: what has not been answered has not been promised.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainqueue.core.job import Job
    from trainqueue.journal import Journal

AttemptRow = tuple[dict[str, Any], tuple[str, ...]]
"""A runner's identity (pid, ticks, boot id) and the GPUs of its attempt."""


@dataclass(slots=True)
class Batch:
    """Owned by the arbiter; `events` holds (seq, time, topic, bytes)."""

    jobs: dict[int, Job] = field(default_factory=dict[int, "Job"])
    """By `change` alone."""
    rows: dict[tuple[int, int], AttemptRow | None] = field(default_factory=dict[tuple[int, int], AttemptRow | None])
    events: list[tuple[int, float, str, bytes]] = field(default_factory=list[tuple[int, float, str, bytes]])
    keys: dict[str, bytes] = field(default_factory=dict[str, bytes])
    settings: dict[str, str] = field(default_factory=dict[str, str])
    promised: bool = False
    """Somebody will rely on it even after a power cut: a change that a client asked for, an attempt about to start."""
    _unseen: dict[int, Job] = field(default_factory=dict[int, "Job"])
    """Those of `jobs` that are not in the open transaction."""
    _written: int = 0

    def __bool__(self) -> bool:
        return bool(self.jobs or self.rows or self.events or self.keys or self.settings)

    def change(self, job: Job) -> None:
        self.jobs[job.id] = self._unseen[job.id] = job

    def show(self, journal: Journal) -> None:
        """Put jobs and events into the open transaction, so that a query sees what the batch has changed."""
        if self.jobs or self.events:
            self._begin(journal)
            try:
                journal.save(self._unseen.values())
                journal.add_events(self.events[self._written :])
            except sqlite3.Error:
                journal.rollback()
                raise
            self._unseen, self._written = {}, len(self.events)

    def commit(self, journal: Journal) -> None:
        """Raises sqlite3.Error, with nothing of the batch on disk and the batch as it was."""
        try:
            self._begin(journal, durable=self.promised)
            self.show(journal)
            journal.add_keys([*self.keys.items()])
            for name, value in self.settings.items():
                journal.set(name, value)
            for (job, attempt), row in self.rows.items():
                if row is None:
                    journal.end_attempt(job, attempt)
                else:
                    journal.save_attempt(job, attempt, *row)
            journal.commit()
        except sqlite3.Error:
            journal.rollback()
            raise

    def _begin(self, journal: Journal, *, durable: bool = True) -> None:
        if journal.begin(durable=durable):  # the last one was written, or rolled back by us or by SQLite itself
            self._unseen, self._written = {**self.jobs}, 0
