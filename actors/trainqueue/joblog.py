"""A job's log as it grows, read for progress: piece by piece, little of a flood, nothing of a silent job."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from trainqueue import logfile

if TYPE_CHECKING:
    from trainqueue.scan import Scanner

logger = logging.getLogger(__name__)
PIECE = 16_384
"""Bytes of one step: a millisecond at most, so that nobody waits for this thread."""
MOST = 262_144
"""Bytes of one round; what a flood has written beyond it is passed over."""
TAIL, HEAD = 65_536, 16_384
"""Bytes at the end and at the beginning that are read of the log of a job that another daemon has watched."""
LAST = 8192
"""Bytes that are read at the end of a job, when the next one waits for its GPU."""


class JobLog:
    def __init__(self, path: str, scanner: Scanner, *, grown: bool) -> None:
        """`grown`: it may be long already, and its beginning has been seen by a daemon before us."""
        self.path, self.scanner = path, scanner
        self.offset = 0
        self.fresh = False
        """Something was read since somebody set this back."""
        self._grown = grown
        self._until = 0
        """The end of the present round."""

    def step(self, now: float, most: int = MOST) -> bool:
        """Read a piece. Whether there is more to read of this round."""
        try:
            with logfile.opened(self.path) as fd:
                return fd is not None and self._step(fd, now, most)
        except OSError:
            return False  # removed, or out of our reach: it says nothing then
        except Exception:
            logger.exception("the log %s cannot be read for progress; its job runs on, without", self.path)
            self.path = ""  # whatever is wrong with us, the job must go on to be watched
            return False

    def last(self, now: float) -> None:
        """A little of the end, whatever else there is."""
        self._until = 0
        if self.path:
            self.step(now, LAST)

    def _step(self, fd: int, now: float, most: int) -> bool:
        size = os.fstat(fd).st_size
        if size < self.offset:  # the job has emptied it
            self._go(0)
            self._until = 0
        if self._grown:
            self._grown = False
            self._begin(fd, size, now)
        if self._until <= self.offset:
            self._until = size
            if size - self.offset > most:
                self._go(size - most)
        start, data = logfile.read(fd, self.offset, min(PIECE, self._until - self.offset))
        if start != self.offset:  # its middle was cut out
            self.scanner.skip()
        if data:
            self.scanner.feed(data, now)
            self.fresh = True
        self.offset = start + len(data)
        return bool(data) and self.offset < self._until

    def _begin(self, fd: int, size: int, now: float) -> None:
        """How it began says what its bars are; then its end."""
        if size > HEAD + TAIL:
            self.scanner.feed(os.pread(fd, HEAD, 0), now)
            self._go(size - TAIL)

    def _go(self, offset: int) -> None:
        if offset:
            self.scanner.skip()
        else:
            self.scanner.restart()
        self.offset = offset

    def grew(self) -> bool:
        """Whether there is more than was read, or less."""
        try:
            return os.stat(self.path).st_size != self.offset  # noqa: PTH116  (pathlib would cost more than the look)
        except OSError:
            return False
