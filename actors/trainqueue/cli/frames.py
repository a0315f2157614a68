"""Of a progress bar's frames, which are in a log one behind the other, the last one: what stood on the screen at last.

On reading, and not in the stored log: those who follow it have their place in it, and a shorter one would send them
back to the beginning.
"""

from __future__ import annotations

import re

NO_TEXT = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
MOST = 2**20
"""Bytes of a line that are held; a longer one is shown as it is."""


class Frames:
    """A log in, piece by piece; out comes what has not been overwritten."""

    def __init__(self) -> None:
        self._rest = b""

    def passed(self, data: bytes) -> bytes:
        """What can be shown by now."""
        if not self._rest and b"\r" not in data and data.endswith(b"\n"):
            return data
        whole, newline, rest = (self._rest + data).rpartition(b"\n")
        self._rest = last(rest)
        shown = b"\n".join(map(last, whole.split(b"\n"))) + newline if newline else b""
        return shown + (self.rest() if len(self._rest) > MOST else b"")

    def rest(self) -> bytes:
        """At the end."""
        rest, self._rest = self._rest, b""
        return rest


def last(line: bytes) -> bytes:
    """Its last frame that is not empty, and the return behind it, if there is one. What is no text is left alone."""
    body = line.rstrip(b"\r")
    at = body.rfind(b"\r")
    return line if at < 0 or NO_TEXT.search(line) else line[at + 1 :]
