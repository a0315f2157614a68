"""A job's progress.json: noticed through inotify, read when whole and right, ignored until then."""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1_000_000
IN_CLOSE_WRITE, IN_MOVED_TO = 0x8, 0x80
_libc = ctypes.CDLL(None, use_errno=True)


class ProgressFile:
    """`fd` is readable when the file may have changed; None before `watch`, and where inotify fails."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd: int | None = None
        self._seen: tuple[int, int] | None = None

    def watch(self) -> None:
        """Watches the folder, not the file: a rename replaces the file's inode."""
        self.fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        flags = IN_CLOSE_WRITE | IN_MOVED_TO
        if self.fd is not None and _libc.inotify_add_watch(self.fd, os.fsencode(self.path.parent), flags) < 0:
            self.close()

    def read(self) -> dict[str, Any] | None:
        """The contract's progress map, or None when nothing is new or the file is not right."""
        self._drain()
        try:
            with self.path.open("rb") as file:
                stat = os.fstat(file.fileno())
                if self._seen == (stat.st_ino, stat.st_mtime_ns) or stat.st_size > MAX_BYTES:
                    return None
                raw = json.loads(file.read(MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            return None
        self._seen = (stat.st_ino, stat.st_mtime_ns)
        return view(raw, time.time())

    def _drain(self) -> None:
        with contextlib.suppress(OSError):
            while self.fd is not None and os.read(self.fd, 65536):
                pass

    def close(self) -> None:
        if self.fd is not None and self.fd >= 0:
            os.close(self.fd)
        self.fd = None


def number(value: object) -> float | None:
    """A finite number (not a bool), else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def view(raw: object, now: float) -> dict[str, Any] | None:
    """From what the script wrote to what the wire shows; None when it is no object."""
    if not isinstance(raw, dict):
        return None
    fields: dict[str, object] = {str(key): value for key, value in raw.items()}
    step, total = number(fields.get("step")), number(fields.get("total"))
    fraction = number(fields.get("fraction"))
    if fraction is None and step is not None and total:
        fraction = step / total
    message = fields.get("message")
    known = {"step", "total", "fraction", "message"}
    metrics = {key: number(value) for key, value in fields.items() if key not in known}
    return {
        "fraction": None if fraction is None else min(1.0, max(0.0, fraction)),
        "step": step,
        "total": total,
        "rate": None,
        "eta": None,
        "metrics": {key: value for key, value in metrics.items() if value is not None},
        "message": message[:1000] if isinstance(message, str) else None,
        "updated_at": now,
    }
