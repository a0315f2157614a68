"""Where a job's progress comes from, its progress.json and its log, and the kernel's word that one of them has changed.

One descriptor for both, since users have few of them. The folder is watched for the file, which is replaced by others.
The log is watched for one change at a time: a job that floods it wakes nobody until the log was read, and there is time
to read it again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from trainqueue import inotify
from trainqueue.joblog import LAST, JobLog
from trainqueue.progress import ProgressFile
from trainqueue.scan import Told

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Sources:
    """Of one attempt, in its trainer's thread."""

    def __init__(self, folder: Path, log: str, command: Sequence[str], *, grown: bool) -> None:
        """`folder` is the job's; `grown`: see JobLog."""
        self.told = Told(command)
        self.file = ProgressFile(folder / "progress.json")
        self.log = JobLog(log, self.told.scanner, grown=grown)
        self._mark: int | None = None
        self._looked = False
        """Whether the log was ever looked at: a job that is over before is too short for it."""

    @property
    def fd(self) -> int | None:
        return self.file.fd

    def watch(self) -> None:
        self.file.watch()

    def log_stirred(self) -> bool:
        """Whether it has changed since it was watched."""
        return self._mark is not None and self.file.stirred(self._mark)

    def watch_log(self) -> bool:
        """For its next change. Whether it has changed already."""
        if self.fd is None or not self.log.path:
            return False
        try:
            self._mark = inotify.add(self.fd, self.log.path, inotify.MODIFY | inotify.ONESHOT)
        except OSError:
            return False  # somebody has removed it
        return self.log.grew()

    def read_log(self) -> bool:
        """A piece of it. Whether there is more."""
        self._looked = True
        return bool(self.log.path) and self.log.step(time.monotonic())

    def has_read(self) -> bool:
        """Whether there was anything since it was last asked."""
        some, self.log.fresh = self.log.fresh, False
        return some

    def news(self) -> dict[str, Any] | None:
        """What is to be told, if anything has changed."""
        report = self.file.read()
        if report is not None:
            self.told.report(report)
        elif not self.told.scanner.heard:
            return None
        return self.told.map(time.monotonic(), time.time())

    def last_words(self, *, well: bool) -> dict[str, Any] | None:
        """At the end of the job; `well`: with exit code 0. Takes a moment only: others wait for its GPU."""
        report = self.file.read()
        if report is not None:
            self.told.report(report)
        if self._looked and self.log.path:
            now = time.monotonic()
            while self.log.step(now, LAST):
                pass
        return self.told.map(time.monotonic(), time.time(), ended=True, well=well)

    def close(self) -> None:
        self.file.close()
