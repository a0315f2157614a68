"""The crash guard: so many attempts in a row that failed right after their start mean that all the rest would, too.

An environment that has moved, a disk that is not mounted: whoever comes back from a weekend wants to find the queue
standing, not empty. Off unless the settings say how many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.core.job import Completed, Failed
from trainqueue.core.words import duration

if TYPE_CHECKING:
    from trainqueue.core.job import Ended

CRASHES = ("exit", "signal", "start-failed", "out-of-memory")
NAMED = 5
"""So many jobs at most are named in the reason."""


class CrashGuard:
    """`row`: the jobs whose attempts have failed at once since the last that did not, the newest last."""

    def __init__(self, jobs: int, seconds: float) -> None:
        """`jobs` 0: never says anything."""
        self.jobs, self.seconds = jobs, seconds
        self.row: list[int] = []

    def ended(self, job: int, end: Ended) -> str | None:
        """An attempt is over, by itself: why to pause now, as the end of "paused since ...", or None."""
        if not self.jobs:
            self.reset()  # of a daemon with other settings: nobody counts on from that later
            return None
        lasted = ran(end)
        if isinstance(end, Completed) or (lasted is not None and lasted > self.seconds):
            self.reset()
        elif isinstance(end, Failed) and end.cause in CRASHES:
            self.row.append(job)
            if len(self.row) >= self.jobs:
                return self._tripped(end)
        return None

    def reset(self) -> None:
        self.row.clear()

    def _tripped(self, last: Failed) -> str:
        named = [*dict.fromkeys(self.row)][-NAMED:]
        row, job = len(self.row), named[-1]
        self.reset()
        who = f"of job {job}" if len(named) == 1 else f"(the last of jobs {', '.join(map(str, named))})"
        start = f"of {'its' if len(named) == 1 else 'their'} start"
        how = f"cause {last.cause}" + (f", exit code {last.exit_code}" if last.exit_code is not None else "")
        failed = f"{row} attempts in a row {who} failed within {duration(self.seconds)} {start}"
        return f"{failed} ({how}); look at `trainq-cli logs {job}`"


def ran(end: Ended) -> float | None:
    """Seconds; None where nobody knows."""
    if end.run_time is not None:
        return end.run_time
    return None if end.started_at is None else max(0.0, end.ended_at - end.started_at)
