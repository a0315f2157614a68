"""The first picture, which is there before Textual is: to import that takes longer than all else together.

The same painter draws it, on stand-ins for the widgets; then Textual enters the same screen and paints over it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

from trainqueue.cli.painter import SHOWN, TOGETHER
from trainqueue.top.paint import PARTS, Painter
from trainqueue.top.view import View

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from trainqueue.top.asker import Asker
    from trainqueue.top.drawn import Line

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
PATIENCE = 0.25
"""Seconds that the daemon gets for its first answer, and a terminal to take the picture."""
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[0m\x1b[?25h\x1b[?1049l"
BACK = "\x1b8"
"""The cursor stands where it stood: Textual enters the screen once more, and many a terminal keeps one place only."""
SGR = {
    "bold": "1",
    "dim": "2",
    "id": "36",
    "mark": "1;36",
    "bar": "34",
    "good": "32",
    "warn": "33",
    "bad": "31",
    "key": "1;36",
    "banner": "1;7;33",
    "alarm": "1;7;31",
    "selected": "7",
    "match": "7",
}
"""As `lines.STYLES`."""


class Plain:
    """In the place of a `Lines`: as high as it is told to be, the others leave the rest to the table."""

    def __init__(self, name: str) -> None:
        self.name, self.display = name, name != "sheet"
        self.styles = SimpleNamespace(height=0 if name in {"banner", "gpus", "log", "ask"} else 1)
        self.asked_height, self.top, self.count = -1, 0, 0
        self.get: Callable[[int], Line] = lambda at: ()  # noqa: ARG005

    @property
    def height(self) -> int:
        return self.styles.height if self.display else 0

    def show(self, count: int, get: Callable[[int], Line]) -> None:
        self.count, self.get = count, get
        self.top = max(0, min(self.top, count - self.height))

    def show_all(self, lines: list[Line]) -> None:
        self.show(len(lines), lines.__getitem__)

    def in_view(self) -> range:
        return range(self.top, min(self.count, self.top + max(1, self.height)))

    def bring_into_view(self, first: int, last: int) -> None:
        """It begins at the top, where both are."""

    def lines(self) -> list[Line]:
        return [self.get(at) if at < self.count else () for at in range(self.top, self.top + self.height)]


def picture(view: View, asker: Asker, width: int, height: int) -> list[Line]:
    """All lines of the screen."""
    parts = {name: Plain(name) for name in PARTS}
    painter = Painter(view, asker, parts)  # type: ignore[arg-type]
    table = parts["table"]
    table.styles.height = height
    for _ in range(2):  # the second time with the heights of the first one
        painter.draw(width, height)
        table.styles.height = max(3, height - sum(part.height for part in parts.values() if part is not table))
    painter.draw(width, height)
    return [line for part in parts.values() for line in part.lines()][:height]


def as_text(lines: list[Line], *, colours: bool) -> str:
    """What a terminal is sent."""

    def styled(text: str, style: str) -> str:
        sgr = SGR.get(style, "")
        return f"\x1b[{sgr}m{text}\x1b[0m" if sgr and colours else text

    rows = ("".join(styled(*part) for part in line) for line in lines)
    drawn = "".join(f"\x1b[{at}H{row}" for at, row in enumerate(rows, 1))
    return f"{ENTER}{TOGETHER}\x1b[0m\x1b[2J{drawn}{BACK}{SHOWN}"


class First:
    """The screen until Textual has it: `with First(asker) as first` draws, and gives it back if something fails.

    `code`: the exit code for a signal that has come before there was a loop to hear it.
    """

    def __init__(self, asker: Asker) -> None:
        self.asker, self.view, self.code = asker, View(), 0
        self._entered = False

    def __enter__(self) -> Self:
        for number in SIGNALS:
            signal.signal(number, self._note)
        self._stops = signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # a shell would get a screen that is not its own
        with contextlib.suppress(Exception):  # whatever fails here fails again where it can be told
            self._draw()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.hand_over()
        if kind is not None and self._entered:
            self._write(LEAVE)

    def hand_over(self) -> None:
        """Textual sees to the rest."""
        signal.signal(signal.SIGTSTP, self._stops)

    def _note(self, number: int, frame: object) -> None:
        del frame
        self.code = 128 + number

    def _draw(self) -> None:
        size = os.get_terminal_size(sys.stderr.fileno())
        if not (self._answered() and size.columns and size.lines):
            return
        self._entered = True
        lines = picture(self.view, self.asker, size.columns, size.lines)
        self._write(as_text(lines, colours="NO_COLOR" not in os.environ))

    def _answered(self) -> bool:
        """Whether the daemon has, in time."""
        rung = threading.Event()
        self.asker.box.ring = rung.set
        deadline = time.monotonic() + PATIENCE
        while not self.view.world.known and (left := deadline - time.monotonic()) > 0:
            for news in self.asker.box.take():
                self.view.take(news)
            if not self.view.world.known:
                rung.wait(left)
                rung.clear()
        return self.view.world.known

    @staticmethod
    def _write(text: str) -> None:
        """As much as the terminal takes in time."""
        fd, deadline = sys.stderr.fileno(), time.monotonic() + PATIENCE
        data = memoryview(text.encode(sys.stderr.encoding, errors="replace"))
        while data and select.select([], [fd], [], max(0.0, deadline - time.monotonic()))[1]:
            data = data[os.write(fd, data[: select.PIPE_BUF]) :]
