"""Where a job's progress comes from, its progress.json and its log, and the kernel's word that one of them has changed.

One descriptor for both, since users have few of them. The folder is watched for the file, which is replaced by others.
The log is watched for one change at a time: a job that floods it wakes nobody until the log was read, and there is time
to read it again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from trainqueue import inotify
from trainqueue.joblog import JobLog
from trainqueue.progress import ProgressFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainqueue.scan import Told


class Sources:
    """Of one attempt, in its trainer's thread."""

    def __init__(self, folder: Path, log: str, command: Sequence[str], *, grown: bool) -> None:
        """`folder` is the job's; `grown`: see JobLog."""
        self.file = ProgressFile(folder / "progress.json")
        self._path, self._command, self._grown = log, command, grown
        self._told: Told | None = None
        self.log: JobLog | None = None
        """None until it is looked at: a job that is over before is too short for it."""
        self._mark: int | None = None
        self._in_vain = False
        """It looked as if the log had grown, and there was nothing."""

    @property
    def fd(self) -> int | None:
        return self.file.fd

    @property
    def told(self) -> Told:
        """Made when there is something: its expressions take time to be compiled, which short jobs have not."""
        if self._told is None:
            from trainqueue.scan import Told

            self._told = Told(self._command)
        return self._told

    def watch(self) -> None:
        self.file.watch()

    def stirred(self) -> tuple[bool, bool]:
        """Whether the file and the log have changed since this was last asked; the log, since it was watched."""
        return self.file.stirred(self._mark)

    def watch_log(self) -> bool:
        """For its next change. Whether it has changed already."""
        if self.fd is None or self.log is None or not self.log.path:
            return False
        try:
            self._mark = inotify.add(self.fd, self.log.path, inotify.MODIFY | inotify.ONESHOT)
        except OSError:
            return False  # somebody has removed it
        self._in_vain = self.log.grew() and not self._in_vain
        return self._in_vain

    def read_log(self) -> bool:
        """A piece of it. Whether there is more."""
        if self.log is None:
            self.log = JobLog(self._path, self.told.scanner, grown=self._grown)
        return bool(self.log.path) and self.log.step(time.monotonic())

    def has_read(self) -> bool:
        """Whether there was anything since it was last asked."""
        assert self.log is not None
        some, self.log.fresh = self.log.fresh, False
        self._in_vain = self._in_vain and not some
        return some

    def news(self) -> dict[str, Any] | None:
        """What is to be told, if anything has changed."""
        report = self.file.read()
        if report is not None:
            self.told.report(report)
        elif self._told is None or not self._told.scanner.heard:
            return None
        return self.told.map(time.monotonic(), time.time())

    def last_words(self, *, well: bool) -> dict[str, Any] | None:
        """At the end of the job; `well`: with exit code 0. Takes a moment only: others wait for its GPU."""
        report = self.file.read()
        if report is not None:
            self.told.report(report)
        if self.log is None and self._grown:  # it has ended while nobody watched
            while self.read_log():
                pass
        elif self.log is not None:
            self.log.last(time.monotonic())
        return None if self._told is None else self._told.map(time.monotonic(), time.time(), ended=True, well=well)

    def suspended(self, seconds: float) -> None:
        if self._told is not None:
            self._told.suspended(seconds)

    def close(self) -> None:
        self.file.close()
