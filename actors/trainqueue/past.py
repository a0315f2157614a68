"""What the journal knows of earlier runs of the same command in the same folder, at hand at once.

The core asks in the middle of a step, before the end that it handles is written down: what has ended since the last
commit is kept here until then.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from trainqueue.core.job import Completed
from trainqueue.core.past import Runs
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    from trainqueue.core.job import Job
    from trainqueue.core.spec import JobSpec

    class Source(Protocol):
        """The journal."""

        def runs(self, key: int, limit: int) -> list[Run]:
            """The last completed ones, the newest first. Raises sqlite3.Error, RequestError."""
            ...


logger = logging.getLogger(__name__)
Run = tuple[float | None, int | None]
"""Seconds, and bytes at the peak on one GPU; None where nobody knows for sure."""
ENOUGH = 3
"""Looks at a run of which its peak may be told: the only look at a short one may have come while it was loading."""
LAST = 5
"""Runs that count."""
MOST = 10_000
"""Commands that are remembered; the others are looked up again."""


class Earlier(NamedTuple):
    """A job that has ended: when, and its id; its last state; its spec without the environment, and its run time."""

    at: tuple[float, int]
    state: str
    spec: JobSpec
    seconds: float | None


def run_key(spec: JobSpec) -> int:
    """The same for the same words in the same folder: 64 bits, for SQLite with a sign."""
    words = "\0".join((spec.cwd, *spec.command)).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(words, digest_size=8).digest(), "big", signed=True)


def sure(peak: int | None, samples: int) -> int | None:
    """The peak of a run that was looked at so often; None where that is not enough to say."""
    return peak if samples >= ENOUGH else None


class JournalPast:
    """Used by the core and fed by the arbiter, in its thread."""

    def __init__(self, journal: Source, most: int = MOST) -> None:
        self.journal, self.most = journal, most
        self._known: dict[int, list[Run]] = {}
        """The newest first; in the order in which they were asked for."""
        self._fresh: dict[int, list[Run]] = {}
        """Of runs that are not written down yet."""

    def runs(self, spec: JobSpec) -> Runs:
        key = run_key(spec)
        found = self._known.get(key)
        if found is None:
            found = [*self._fresh.get(key, ()), *self._look_up(key)][:LAST]
            self._keep(key, found)
        times = [seconds for seconds, _ in found if seconds is not None]
        peaks = [peak for _, peak in found if peak is not None]
        return Runs(min(times, default=None), max(times, default=None), max(peaks, default=None), (*times,))

    def _look_up(self, key: int) -> list[Run]:
        """Nothing where it cannot be read: a guess is missing then, and no more."""
        try:
            return self.journal.runs(key, LAST)
        except (sqlite3.Error, RequestError) as error:
            logger.warning("cannot look up earlier runs: %s", error)
            return []

    def _keep(self, key: int, runs: list[Run]) -> None:
        if len(self._known) >= self.most:
            del self._known[next(iter(self._known))]
        self._known[key] = runs

    def ended(self, job: Job) -> None:
        """A run is over; only a completed one counts."""
        if not isinstance(job.state, Completed):
            return
        key, run = run_key(job.spec), (job.state.run_time, sure(job.peak_memory, job.samples))
        if key in self._known:
            self._known[key] = [run, *self._known[key]][:LAST]
        else:
            self._fresh[key] = [run, *self._fresh.get(key, ())][:LAST]

    def written(self, jobs: Iterable[Job]) -> None:
        """These are in the journal by now."""
        if self._fresh and any(isinstance(job.state, Completed) for job in jobs):
            self._fresh.clear()
