"""What a daemon takes of the machine, seen from outside."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support import Daemon


def memory(daemon: Daemon, what: str = "VmRSS") -> int:
    """Its resident memory in bytes; `VmHWM`: the most that it was."""
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
    (found,) = re.findall(rf"{what}:\s+(\d+) kB", status)
    return 1024 * int(found)


def files(daemon: Daemon) -> int:
    """Its open descriptors."""
    assert daemon.process is not None
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))  # noqa: PTH208
