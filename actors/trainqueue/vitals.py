"""Whether a job does anything, as its machine sees it from outside: its log, its reports, its processor time."""

from __future__ import annotations

import contextlib
import os
import time

from trainqueue.launch.processes import tree_ticks

IDLE = 0.02
"""Of one processor, for the whole tree: less is what a program that only waits uses to look around."""
TICK = os.sysconf("SC_CLK_TCK")


class Vitals:
    """Of one attempt, between one look and the next. `beats` is set by whoever hears of progress meanwhile."""

    def __init__(self, runner: int, log: str, every: float) -> None:
        """`runner` is the pid whose descendants are the job; `every`: seconds between looks."""
        self.runner, self.log, self.every = runner, log, every
        self.beats = False
        self._log, self._used, self._at = self._written(), self._computed(), time.monotonic()

    def look(self) -> bool:
        """Whether it has done anything since the last look."""
        log, used, at = self._written(), self._computed(), time.monotonic()
        busy = used - self._used >= IDLE * (at - self._at)
        beats = self.beats or log != self._log or busy
        self.beats, self._log, self._used, self._at = False, log, used, at
        return beats

    def _written(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):  # somebody has removed it
            found = os.stat(self.log)  # noqa: PTH116  (also of a name that is no text)
            return found.st_size, found.st_mtime_ns
        return None

    def _computed(self) -> float:
        """Seconds of processor time of all that is below the runner, the dead among them included.

        Read from the runner downwards: what else runs on the machine, and there may be a lot, costs nothing.
        """
        return tree_ticks(self.runner) / TICK
