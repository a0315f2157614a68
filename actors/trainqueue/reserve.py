"""A file that holds some space of the disk, given up when the disk is full.

With it, what was accepted before can still be written down; from then on new jobs are refused, with nothing changed,
until there is enough space to fill it again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 2**20
"""Bytes; a batch of a thousand jobs needs less."""


class Reserve:
    """Owned by the arbiter. `held` tells whether the space is ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = self._is_whole()  # an earlier daemon's

    def _is_whole(self) -> bool:
        """Space that is really taken: a death while it was filled leaves an empty file."""
        try:
            return self.path.stat().st_blocks * 512 >= SIZE
        except OSError:
            return False

    def fill(self) -> bool:
        """Whether it is held now."""
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, SIZE)
            finally:
                os.close(fd)
        except OSError:
            self._remove()
            return False
        self.held = True
        return True

    def spend(self) -> bool:
        """Give the space back to the disk; False when there was none to give."""
        spent, self.held = self.held, False
        self._remove()
        return spent

    def _remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            return  # a read-only disk: nothing can be written anyway
