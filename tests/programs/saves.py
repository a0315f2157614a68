"""Takes a moment to save when it is asked to end (SIGTERM), and says when it was warned (SIGUSR1)."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def save(_number: int, _frame: FrameType | None) -> None:
    print("saving", flush=True)
    time.sleep(0.15)
    print("saved", flush=True)
    sys.exit(0)


def warned(_number: int, _frame: FrameType | None) -> None:
    print("warned", time.time(), flush=True)


signal.signal(signal.SIGTERM, save)
signal.signal(signal.SIGUSR1, warned)
print("ready", flush=True)
while True:
    signal.pause()
