"""Bytes of a log to lines, as they come: ended by a newline, or by what sends the cursor back."""

from __future__ import annotations

CARRIED = 4096
"""Bytes of an unfinished line that are kept; a longer one is passed over."""

FRAME_ENDS = (b"]", b"\x1b[A")
"""The bracket of a bar; who draws one below another goes up again."""


class Splitter:
    def __init__(self) -> None:
        self.rest = b""
        self.skipping = False
        """In the middle of a line whose beginning is not known."""

    def lines(self, data: bytes) -> list[str]:
        """Those that have ended, and a bar's frame that ends with its bracket."""
        end = max(data.rfind(b"\n"), data.rfind(b"\r"), data.rfind(b"\b"))
        if end < 0:
            if not self.skipping:
                self.rest += data
                if len(self.rest) > CARRIED:
                    self.skip()
            return self._frame()
        whole, rest = data[:end], data[end + 1 :]
        text = (self.rest + whole).decode(errors="replace")
        found = text.replace("\r", "\n").replace("\b", "\n").split("\n")
        if self.skipping:
            del found[0]
        self.rest, self.skipping = (rest, False) if len(rest) <= CARRIED else (b"", True)
        if "%|" in text:
            found = [part for line in found for part in apart(line)]
        return [line for line in found if line] + self._frame()

    def _frame(self) -> list[str]:
        """A bar's last frame stands there without an end until the next one comes."""
        return [self.rest.decode(errors="replace")] if self.rest.endswith(FRAME_ENDS) and b"%|" in self.rest else []

    def skip(self) -> None:
        """What comes next is somewhere in a line."""
        self.rest, self.skipping = b"", True


def apart(line: str) -> tuple[str, ...]:
    """Behind a bar's frame, which has no end of its own, may stand what was printed meanwhile."""
    at = line.find("]", line.find("%|"))
    return (line[: at + 1], line[at + 1 :]) if "%|" in line and 0 < at < len(line) - 1 else (line,)
