"""The daemon's log: it rotates, and begins anew where somebody has deleted or moved it."""

from __future__ import annotations

import contextlib
import logging.handlers
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import TextIOWrapper
    from pathlib import Path


class LogFile(logging.handlers.RotatingFileHandler):
    """Takes the process's standard error with it, wherever it goes: the last words of libraries in C."""

    def __init__(self, path: Path, size: int, backups: int) -> None:
        """Raises OSError."""
        self._own_error()
        self._folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
        moored = f"/proc/self/fd/{self._folder}/{path.name}"  # where the home is, even when it has been moved
        super().__init__(moored, maxBytes=size, backupCount=backups, encoding="utf-8")

    @staticmethod
    def _own_error() -> None:
        """Ours goes on to whoever has started us."""
        with contextlib.suppress(OSError):  # it was started without
            sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)

    def _open(self) -> TextIOWrapper:
        stream = open(self.baseFilename, "a", encoding="utf-8", opener=private)  # noqa: SIM115
        os.dup2(stream.fileno(), 2)
        return stream

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # the home is gone: go on with the file that we have
            self._follow()
        super().emit(record)

    def _follow(self) -> None:
        if self.stream is not None and not self._is_there():
            fresh = self._open()
            self.stream.close()
            self.stream = fresh

    def _is_there(self) -> bool:
        try:
            found = os.stat(self.baseFilename)  # noqa: PTH116
        except FileNotFoundError:
            return False
        return self.stream is not None and os.path.samestat(found, os.fstat(self.stream.fileno()))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """The disk is full, say. Nothing is printed: standard error is the same disk, or a starter's memory."""


def private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
