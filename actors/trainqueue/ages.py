"""The clock by which retention counts ages: a wall clock that jumps must not make everything old at once.

It goes on with the machine's uptime, sleep included, whatever the wall clock shows. Only what lies between two boots
is taken from the wall clock, and counts for a day at most: a clock that has lost its battery, or was set to next
year, takes nothing with it. It begins at the wall time of its first start, so that its values look like dates.
"""

from __future__ import annotations

import json
import logging
import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)
DAY = 86400.0
"""Seconds. Of the time between two boots no more is believed."""


def uptime() -> float:
    """Seconds since boot, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Ages:
    """Seconds that only go forward; `saved` is what `text` said at some time before, or empty.

    One that cannot be read is worth no refused start: the clock begins anew.
    """

    def __init__(
        self,
        saved: str,
        boot: str,
        *,
        up: Callable[[], float] = uptime,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._boot, self._up, self._wall = boot, up, wall
        self._base = wall() if (base := since(saved, boot, up(), wall())) is None else base
        self._from = up()

    def now(self) -> float:
        return self._base + self._up() - self._from

    def text(self) -> str:
        """To be kept, and given to the next one."""
        return json.dumps({"now": self.now(), "boot": self._boot, "up": self._up(), "wall": self._wall()})


def since(text: str, boot: str, up: float, wall: float) -> float | None:
    """What the clock shows now, after it showed `text`; None when that tells nothing."""
    if not text:
        return None
    try:
        saved = json.loads(text)
        same = saved["boot"] == boot
        passed = up - float(saved["up"]) if same else min(wall - float(saved["wall"]), DAY)
        shows = float(saved["now"]) + max(0.0, passed)
    except (ValueError, KeyError, TypeError):
        shows = math.nan
    if not math.isfinite(shows):
        logger.warning("the clock of retention cannot be read (%r); it begins anew", text)
        return None
    return shows
