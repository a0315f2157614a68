"""The cap of a job's log. The job writes straight into the file; the runner looks at its size now and then.

A log that is larger loses its middle: a hole is punched into the file, so that no offset changes and the job notices
nothing, and a line in front of the hole says how much is gone. What stays is the head, a quarter of the cap, which
says with what the job began and is short, and the tail, which says how it went and ended. A cut leaves half of the
cap as tail, so that the next cut is a quarter of the cap away.
"""

import contextlib
import ctypes
import errno
import os

KEEP_SIZE, PUNCH_HOLE = 1, 2
LEAST = 1024 * 1024
"""Bytes of the smallest cap."""
BLOCK = 65536
"""Holes begin and end at multiples of this, since within a block of the file system they would be zeros instead."""
FASTEST = 2**30
"""Bytes a second: what a job may write until the next look."""
SOONEST, LATEST = 0.25, 10.0
"""Seconds between looks."""
MARK = 128
"""Bytes of the line in front of the hole: its length stays when the hole grows."""
NEVER = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM)
"""No holes in this file system, or in this file. All else may be better at the next look."""

_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = getattr(_libc, "fallocate64", _libc.fallocate)  # with offsets of 64 bits on any machine
_fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class LogCap:
    """Of one attempt. `due` is when to look (monotonic), None for never."""

    def __init__(self, path: str, most: int, now: float) -> None:
        """`most` in bytes; 0 for no cap. Opens the file with the first look only: most jobs are over before."""
        self.path, self.most = path, max(most, LEAST)
        self.fd = -1
        self.block = BLOCK
        self.head = self.hole = 0
        """Where the hole begins and ends."""
        self.due = now + self._patience(0) if most else None

    def look(self, now: float) -> None:
        if self.due is None:
            return
        try:
            kept = self._kept()
            if kept > self.most:
                self._cut()
                kept = self._kept()
            self.due = now + self._patience(kept)
        except OSError as error:
            self.due = None if error.errno in NEVER else now + LATEST
            if self.due is None:
                say(self.path, "this log is over its cap ([logs] max_bytes) and cannot be cut here; it goes on growing")

    def close(self) -> None:
        """With a last look: a short job may have written much."""
        self.look(0.0)
        if self.fd >= 0:
            os.close(self.fd)

    def _patience(self, kept: int) -> float:
        return min(LATEST, max(SOONEST, (self.most - kept) / FASTEST))

    def _kept(self) -> int:
        """Bytes that the file has and that are not cut out. Raises OSError."""
        if self.fd < 0:
            self.fd = os.open(self.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            self.block = max(BLOCK, os.fstat(self.fd).st_blksize)
            self.head = self.hole = self.most // 4 // self.block * self.block
        found = os.fstat(self.fd)
        by_count = found.st_size - (self.hole - self.head)
        by_blocks = min(found.st_blocks * 512, found.st_size)  # more: the job has emptied it and filled it again
        return max(by_count, by_blocks)

    def _cut(self) -> None:
        """The hole first: a line that tells of it must be true. Raises OSError."""
        end = (os.fstat(self.fd).st_size - self.most // 2) // self.block * self.block
        if self.most < 8 * self.block:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        if _fallocate(self.fd, PUNCH_HOLE | KEEP_SIZE, self.head, end - self.head) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self.hole = end
        os.pwrite(self.fd, marker(end - self.head + MARK, self.most), self.head - MARK)


def say(path: str, sentence: str) -> None:
    """In the log, as a line of ours."""
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        os.write(fd, f"trainq: {sentence}\n".encode(errors="surrogateescape"))
        os.close(fd)


def marker(cut: int, most: int) -> bytes:
    text = f"\n[trainq: {size(cut)} of this log were cut here; the cap is {size(most)} ([logs] max_bytes)]"
    return text.encode().ljust(MARK - 1)[: MARK - 1] + b"\n"


def size(count: float) -> str:
    return f"{count / 2**20:.1f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"
