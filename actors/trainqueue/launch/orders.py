"""The daemon's side of runner/orders.py: what a running attempt is told beyond its end.

The file is the truth of what was ordered: a daemon that comes later reads there what the one before has asked for and
may not have written down any more.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

from trainqueue.launch import verdict

if TYPE_CHECKING:
    from pathlib import Path

Order = dict[str, Any]
SPOILT = b" torn\n"
"""The end of a line that was left without one."""


def are_taken(folder: Path) -> bool:
    """Whether the attempt's runner knows of orders; one that an older daemon started does not."""
    return bool(verdict.started_in(folder).get("orders"))


def append(folder: Path, order: Order) -> None:
    """Raises OSError, and then there is nothing of it in the file.

    A line that somebody has died in the middle of was never promised: it is spoilt, whatever it says by now, so that
    it swallows no other one.
    """
    fd = os.open(folder / "orders", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # the annals and a trainer may both write; a cut must not take the other's line
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        line = SPOILT * torn + json.dumps(order).encode() + b"\n"
        if os.write(fd, line) != len(line):
            os.ftruncate(fd, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(fd)


def given(folder: Path) -> list[Order]:
    """All so far, the oldest first, as the runner reads them: whole lines. None where they cannot be read."""
    found: list[Order] = []
    try:
        lines = (folder / "orders").read_bytes().rpartition(b"\n")[0].splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            order = json.loads(line)
        except ValueError:
            continue
        if isinstance(order, dict):
            found.append(order)
    return found
