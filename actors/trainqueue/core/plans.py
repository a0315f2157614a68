"""The newest plan, and for how long another one could find nothing else: most events have nothing to do with GPUs.

A plan depends on the slots, on the jobs in line up to where its walk stopped, and, where somebody got a reservation, on
when the jobs on the GPUs are expected to end. Whoever changes one of these says so here. Time alone changes it little:
it makes every end later or keeps it. It may let somebody start all the same, further back, where somebody ahead loses a
chance by it (a gap has become too short for him), where the word of a script about its end has become too old to be
believed, where a job outlives its time limit, or where the clock is set back. So a plan with reservations is made
again after a while, at the next event; which is also when news of earlier runs count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainqueue.core.line import Line
    from trainqueue.core.placement import Walk

AGAIN = 1.0
"""Seconds that a plan with reservations holds, where nothing else happens."""


class Plans:
    """`at` is when the newest was made; `version` is another one whenever slots, or what is kept of them, may be."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._walk: Walk | None = None
        self.at = 0.0
        self.version = 0

    def keep(self, walk: Walk, now: float) -> None:
        """What it has found has been started, or is being looked at."""
        self._walk, self.at, self._line.touched = walk, now, None
        self.version += 1

    def slots_changed(self) -> None:
        self._walk = None
        self.version += 1

    def ends_changed(self) -> None:
        """Somebody who holds a GPU is expected to end at another time."""
        if self._walk is not None and self._walk.reserved:
            self._walk = None

    def newest(self, now: float) -> Walk | None:
        """The newest walk, while another one would find what it has found."""
        walk, touched = self._walk, self._line.touched
        if walk is None or (touched is not None and touched <= walk.reached):
            return None
        return walk if not walk.reserved or 0 <= now - self.at < AGAIN else None
