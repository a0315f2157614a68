"""Waiting for the end of jobs: by events, and by looking at the jobs where events may have been lost.

A few jobs are looked at by the clock. For many that is dear: there the numbers of the events show whether one
is missing, and only then all are looked at.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from trainqueue.chunks import chunks
from trainqueue.errors import RequestError
from trainqueue.following import Count
from trainqueue.jobinfo import ENDED, Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainqueue.client import Client

PATIENCE = 2.0
"""Seconds between looks."""
MANY = 1000
"""Jobs in one question; beyond it, all events are heard rather than a subscription made for each job."""


class Wait:
    """`open` are those that have not ended yet."""

    def __init__(self, client: Client, jobs: Sequence[int]) -> None:
        self.client = client
        self.open, self.ended = set(jobs), dict[int, Job]()
        self._told = set[int]()
        """Those of which an event has told the end, and nobody has looked yet how."""
        self.many = len(self.open) >= MANY
        self._count = Count()

    def until(self, deadline: float | None) -> None:
        """Raises TimeoutError at the deadline (monotonic); RequestError ("not-found") for an unknown job."""
        self.look()
        while self.open:
            self._listen(deadline)
            self.open, self._told = self._told, set()
            self.look()  # one that has been retried meanwhile stays open

    def _listen(self, deadline: float | None) -> None:
        topics = ["job.", "queue", "heartbeat"] if self.many else [f"job.{job}" for job in self.open]
        with self.client.subscribe(topics) as feed:
            looked = time.monotonic()
            while self.open:
                self.hear(feed.get(self._patience(deadline)))
                if time.monotonic() - looked >= PATIENCE:
                    self.look_again()
                    looked = time.monotonic()

    def _patience(self, deadline: float | None) -> float:
        if deadline is None:
            return PATIENCE
        left = deadline - time.monotonic()
        if left <= 0:
            msg = f"{len(self.open)} of {len(self.open) + len(self.ended)} jobs have not ended in time; they go on"
            raise TimeoutError(msg)
        return min(PATIENCE, left)

    def hear(self, event: dict[str, Any] | None) -> None:
        """An event of ours ends the wait for its job; one that shows a hole makes us look."""
        if event is None:
            return
        hole = self._hole(event)
        if event.get("id") in self.open and event["state"] in ENDED:
            self.open.discard(event["id"])
            self._told.add(event["id"])
        if hole:
            self.look()

    def _hole(self, event: dict[str, Any]) -> bool:
        """Whether events are missing before this one. A new epoch, our own welcome among them, is one, too."""
        known = self._count.epoch
        missing = self._count.misses(event)
        return missing and (self.many or self._count.epoch != known)  # of a few jobs we do not hear all events

    def look_again(self) -> None:
        """By the clock. For many jobs: only if events are missing at the tail. Raises NoDaemonError."""
        if not self.many:
            self.look()
            return
        last = self.client.events(self._count.seq, limit=1)["last"]
        if last > self._count.seq:
            self._count.seq = last
            self.look()

    def look(self) -> None:
        """Ask about all that are open. Raises RequestError for an unknown one."""
        for some in chunks(sorted(self.open), MANY):
            found, _ = self.client.jobs(jobs=some, limit=MANY)
            for unknown in sorted({*some} - {job.id for job in found}):
                raise RequestError("not-found", f"there is no job {unknown}")
            self._note(found)

    def _note(self, jobs: Sequence[Job]) -> None:
        self.ended.update({job.id: job for job in jobs if job.ended})
        self.open.difference_update(self.ended)
