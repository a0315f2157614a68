"""Takes a moment to save when it is asked to end (SIGTERM), and says when it was warned (SIGUSR1)."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def say(*words: object) -> None:
    """Not by print: a signal may come in the middle of one."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def save(_number: int, _frame: FrameType | None) -> None:
    say("saving")
    time.sleep(0.15)
    say("saved")
    sys.exit(0)


def warned(_number: int, _frame: FrameType | None) -> None:
    say("warned", time.time())


signal.signal(signal.SIGTERM, save)
signal.signal(signal.SIGUSR1, warned)
say("ready")
while True:
    signal.pause()
