"""The end of a log as lines: bytes come in pieces, bars overwrite themselves, and nothing in it is obeyed. Pure."""

from __future__ import annotations

import codecs
import re
from collections import deque

from trainqueue.top.drawn import clean

KEPT = 2000
"""Lines."""
LONGEST = 2**14
"""Bytes of one line that are kept until it ends."""
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")


class LogText:
    """`lines` are those that are whole; `last` is the one that still grows."""

    def __init__(self, kept: int = KEPT) -> None:
        self.lines: deque[str] = deque(maxlen=kept)
        self.gone = 0
        """Lines that were here and are not any more."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._open = ""

    def feed(self, data: bytes) -> None:
        text = self._open + self._decoder.decode(data)
        *whole, self._open = text.split("\n")
        self.gone += max(0, len(self.lines) + len(whole) - (self.lines.maxlen or 0))
        self.lines.extend(shown(line) for line in whole[-(self.lines.maxlen or 0) :])
        if len(self._open) > LONGEST:
            self._open = self._open[: LONGEST // 2] + self._open[-LONGEST // 4 :]

    def skip(self) -> None:
        """What comes next does not follow on what came last."""
        if self._open:
            self.lines.append(shown(self._open))
        self._open = ""
        self._decoder.reset()
        self.lines.append("[…]")

    def __len__(self) -> int:
        return len(self.lines) + bool(self._open)

    def line(self, at: int) -> str:
        return self.lines[at] if at < len(self.lines) else shown(self._open)


def shown(line: str) -> str:
    """Of the frames of a bar the last one; without colours."""
    plain = ESCAPES.sub("", line.rstrip("\r"))
    return clean(plain[plain.rfind("\r") + 1 :].expandtabs(8))
