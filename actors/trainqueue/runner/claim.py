"""The claim of an attempt: whoever makes it owns the attempt. It tells a later daemon that the job ran, and where."""

import contextlib
import errno
import json
import os
from typing import Any

import record

SETTLED = 0.2
"""Seconds from a job's start to the moment when its claim is made durable, so that no start waits for the disk.

A shorter job ends with its record on the disk, and needs no claim there.
"""


class Claim:
    """Of one attempt. `due` is when to make it durable (monotonic), None for not now."""

    def __init__(self, folder: str, words: dict[str, Any]) -> None:
        """Raises FileExistsError when the attempt is somebody else's or void, OSError when the machine refuses.

        Without its words the claim would not say which GPUs are held, so it is taken back then.
        """
        self.folder = folder
        self.due: float | None = None
        self._fd = os.open(folder + "/claim", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            write_line(self._fd, words)
        except OSError:
            self.withdraw()
            raise

    def withdraw(self) -> None:
        """Nothing was started, and somebody else may."""
        with contextlib.suppress(OSError):
            os.unlink(self.folder + "/claim")
        self.close()

    def add(self, life: dict[str, Any]) -> None:
        """The job lives. Where the disk has no room for that, the first line still says that it was started."""
        with contextlib.suppress(OSError):
            write_line(self._fd, life)
        self.due = life["began"] + SETTLED

    def keep(self) -> None:
        """After a power cut it is still there: the job has run, and must not run again as the same attempt."""
        with contextlib.suppress(OSError):  # the home was removed, or its disk is ill: the job goes on
            os.fsync(self._fd)
            for folder in (self.folder, *parents(self.folder)):
                record.sync_folder(folder)
        self.close()

    def close(self) -> None:
        self.due = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def parents(folder: str) -> tuple[str, str]:
    """The job's, and that of all jobs: a folder that nobody has synced has no name after a power cut."""
    return folder + "/..", folder + "/../.."


def write_line(fd: int, words: dict[str, Any]) -> None:
    """Raises OSError when there is no room for all of it."""
    line = json.dumps(words).encode() + b"\n"
    if os.write(fd, line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
