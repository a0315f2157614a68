"""A terminal's screen in tests: as much of one as our own output and that of jobs needs."""

from __future__ import annotations

import fcntl
import re
import struct
import termios
import time
from typing import TYPE_CHECKING

from commands import Terminal

from trainqueue.cli.screen import cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b([78Mc])|([\x00-\x1f\x7f])|([^\x00-\x1f\x7f]+)")


class Screen:
    """Wraps as xterm does: behind the last column it waits for one more character. Styles count for nothing."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self.columns, self.height = columns, lines
        self.cursor_shown = self.wraps = True
        self.alternate = False
        self.rows = self._blank()
        self.scrolled: list[str] = []
        """What has gone out at the top."""
        self.row = self.column = 0
        self._kept: tuple[list[list[str]], int, int] | None = None
        self._saved = (0, 0)
        self._rest = ""

    def feed(self, text: str) -> None:
        """An escape sequence may come in pieces."""
        text, self._rest = self._rest + text, ""
        if cut := re.search(r"\x1b(\[[0-9;?]*)?\Z", text):
            text, self._rest = text[: cut.start()], text[cut.start() :]
        for token in TOKEN.finditer(text):
            numbers, final, single, control, written = token.groups()
            if final:
                self._sequence(numbers, final)
            elif single:
                self._single(single)
            elif control:
                self._control(control)
            else:
                for character in written:
                    self._write(character)

    def line(self, at: int) -> str:
        return "".join(self.rows[at]).rstrip()

    def text(self) -> str:
        """What is seen, without empty lines at the end."""
        return "\n".join(map(self.line, range(self.height))).rstrip("\n")

    def everything(self) -> str:
        """With what has scrolled out."""
        return "\n".join([*self.scrolled, *map(self.line, range(self.height))]).rstrip("\n")

    def _blank(self) -> list[list[str]]:
        return [[" "] * self.columns for _ in range(self.height)]

    def _write(self, character: str) -> None:
        wide = cell(character)
        if self.column + wide > self.columns:
            if self.wraps:
                self._down()
                self.column = 0
            else:
                self.column = self.columns - wide
        if wide:
            self.rows[self.row][self.column : self.column + wide] = [character, ""][:wide]
        self.column += wide

    def _down(self) -> None:
        if self.row < self.height - 1:
            self.row += 1
            return
        gone = "".join(self.rows.pop(0)).rstrip()
        if not self.alternate:
            self.scrolled.append(gone)
        self.rows.append([" "] * self.columns)

    def _control(self, control: str) -> None:
        if control == "\r":
            self.column = 0
        elif control == "\n":
            self._down()
        elif control == "\b":
            self.column = max(0, self.column - 1)

    def _single(self, single: str) -> None:
        if single == "7":
            self._saved = self.row, self.column
        elif single == "8":
            self.row, self.column = self._saved

    def _sequence(self, numbers: str, final: str) -> None:
        if numbers.startswith("?"):
            self._mode(numbers[1:], on=final == "h")
            return
        values = [int(value or 0) for value in numbers.split(";")]
        many = max(1, values[0])
        column = min(self.column, self.columns - 1)
        acts: dict[str, Callable[[], None]] = {
            "A": lambda: self._go(self.row - many, column),
            "B": lambda: self._go(self.row + many, column),
            "C": lambda: self._go(self.row, column + many),
            "D": lambda: self._go(self.row, column - many),
            "G": lambda: self._go(self.row, many - 1),
            "H": lambda: self._go(many - 1, (values[1] if len(values) > 1 else 1) - 1),
            "J": lambda: self._erase(values[0]),
            "K": lambda: self._erase_line(self.row, column if values[0] == 0 else 0),
        }
        if final in acts:
            acts[final]()

    def _go(self, row: int, column: int) -> None:
        self.row, self.column = min(max(0, row), self.height - 1), min(max(0, column), self.columns - 1)

    def _erase_line(self, row: int, column: int) -> None:
        self.rows[row][column:] = [" "] * (self.columns - column)

    def _erase(self, what: int) -> None:
        if what == 0:
            self._erase_line(self.row, min(self.column, self.columns - 1))
        for row in range(self.row + 1 if what == 0 else 0, self.height):
            self._erase_line(row, 0)

    def _mode(self, number: str, *, on: bool) -> None:
        if number == "25":
            self.cursor_shown = on
        elif number == "7":
            self.wraps = on
        elif number == "1049":
            self.alternate = on
            if on:
                self._kept = self.rows, self.row, self.column
                self.rows = self._blank()
            elif self._kept is not None:
                self.rows, self.row, self.column = self._kept


class Window(Terminal):
    """A process on a terminal, and what is seen there."""

    def __init__(self, command: Sequence[str], env: dict[str, str], columns: int = 80, lines: int = 24) -> None:
        super().__init__(command, env | {"TERM": "xterm-256color"}, columns)
        self.screen = Screen(columns, lines)
        if lines != 24:
            self.resize(columns, lines)

    def resize(self, columns: int, lines: int) -> None:
        """What is seen is lost: terminals differ in what they make of it."""
        old, self.screen = self.screen, Screen(columns, lines)
        if old.alternate:
            self.screen.feed("\x1b[?1049h")
        self.screen.cursor_shown, self.screen.wraps = old.cursor_shown, old.wraps
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def until(self, condition: Callable[[str], object], seconds: float = 20.0) -> str:
        """What is seen when it is true of that."""
        deadline = time.monotonic() + seconds
        while not condition(self.screen.text()):
            assert time.monotonic() < deadline, f"does not come true: {condition}\n{self.screen.text()}"
            assert self._read(0.1) or condition(self.screen.text()), f"ended too early:\n{self.screen.text()}"
        return self.screen.text()

    def sees(self, *wanted: str) -> str:
        return self.until(lambda text: all(part in text for part in wanted))

    def silence(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        before = len(self.text)
        self._read(seconds)
        return len(self.text) == before

    def _read(self, patience: float) -> bool:
        before = len(self.text)
        goes_on = super()._read(patience)
        self.screen.feed(self.text[before:])
        return goes_on

    def modes(self) -> int:
        """The terminal's local ones: echo and the like."""
        flags: int = termios.tcgetattr(self._ours)[3]
        return flags
