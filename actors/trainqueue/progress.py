"""A job's progress.json: noticed through inotify, read when whole and right, ignored until then."""

from __future__ import annotations

import contextlib
import json
import os
import time
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

from trainqueue import inotify
from trainqueue.wirenumber import number

if TYPE_CHECKING:
    from pathlib import Path

KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("step", "total", "fraction"), (int, float)),
    "message": (str,),
}
"""Of what a script tells; all else are metrics."""
MAX_BYTES, MAX_METRICS, MAX_TEXT = 65_536, 200, 1000
"""A megabyte would keep all other threads waiting for a tenth of a second, and may come ten times a second."""


class ProgressFile:
    """`fd` is readable when the file may have changed; None before `watch`, and where inotify fails."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd: int | None = None
        self._seen: tuple[int, int] | None = None
        self._changed: set[tuple[int, bytes]] = set()
        """What the kernel has named, until somebody asks."""

    def watch(self) -> None:
        """Watches the folder, not the file: a rename replaces the file's inode."""
        try:
            self.fd = inotify.watch(self.path.parent, inotify.CLOSE_WRITE | inotify.MOVED_TO)
        except OSError:
            return
        if not self._sees():
            self.close()

    def _sees(self) -> bool:
        """Some file systems (over a network, or layered) take a watch and stay silent."""
        probe = self.path.with_name(".probe")
        try:
            probe.write_bytes(b"")
            probe.unlink()
        except OSError:
            return False
        return self._drain()

    def read(self) -> dict[str, Any] | None:
        """The contract's progress map, or None when nothing is new or the file is not right. Never raises or waits."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a job may have put a pipe there
            try:
                stat = os.fstat(fd)
                seen = (stat.st_ino, stat.st_mtime_ns)
                if self._seen == seen or stat.st_size > MAX_BYTES or not S_ISREG(stat.st_mode):
                    return None
                found = view(json.loads(os.read(fd, MAX_BYTES)), time.time())
            finally:
                os.close(fd)
        except (OSError, ValueError, RecursionError):
            return None
        self._seen = seen
        return found

    def _drain(self) -> bool:
        """Whether there was anything."""
        some = False
        with contextlib.suppress(OSError):
            while self.fd is not None and (data := os.read(self.fd, 65536)):
                self._changed |= inotify.events(data)
                some = True
        return some

    def stirred(self, mark: int | None) -> tuple[bool, bool]:
        """Whether the file may have changed since it was last asked, and whether what was added with this mark has."""
        self._drain()
        changed, self._changed = self._changed, set()
        name = os.fsencode(self.path.name)
        return any(called == name for _, called in changed), (mark, b"") in changed

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)
        self.fd = None


def text(value: str) -> str:
    """Text that fits the wire: short, and without the halves of characters that Python makes of odd file names."""
    return value[:MAX_TEXT].encode(errors="replace").decode()


def right(name: str, value: object) -> bool:
    """Whether a known field is what it has to be, or nothing. One that is not makes the file wrong."""
    return value is None or (isinstance(value, KINDS[name]) and not isinstance(value, bool))


def view(raw: object, now: float) -> dict[str, Any] | None:
    """From what the script wrote to what the wire shows; None where it, or a known field, is of a wrong type."""
    if not isinstance(raw, dict):
        return None
    fields: dict[str, object] = {text(str(key)): value for key, value in raw.items()}
    if not all(name not in fields or right(name, fields[name]) for name in KINDS):
        return None
    step, total = number(fields.get("step")), number(fields.get("total"))
    fraction = number(fields.get("fraction"))
    if fraction is None and step is not None and total:
        fraction = step / total
    message = fields.get("message")
    metrics = {key: number(value) for key, value in [*fields.items()][:MAX_METRICS] if key not in KINDS}
    return {
        "fraction": None if fraction is None else min(1.0, max(0.0, fraction)),
        "step": step,
        "total": total,
        "rate": None,
        "eta": None,
        "every": None,
        "metrics": {key: value for key, value in metrics.items() if value is not None},
        "message": text(message) if isinstance(message, str) else None,
        "updated_at": now,
    }
