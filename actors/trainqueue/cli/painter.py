"""The screen of a live view: only what has changed is sent, and whoever leaves finds the terminal as it was.

Our own and small: over a thin SSH link what counts is bytes, and a table that is drawn anew takes kilobytes.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
from typing import TYPE_CHECKING, NamedTuple

from trainqueue.cli.screen import cell, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J"
"""The alternate screen, no cursor, and no wrapping: a name that is wider than we think must not move the lines."""
LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
TOGETHER, SHOWN = "\x1b[?2026h", "\x1b[?2026l"
"""Between them a terminal that knows of it shows nothing, so that no half frame is seen."""
CONTROL_D, CONTROL_L = b"\x04", b"\x0c"
DEADLY = (signal.SIGTERM, signal.SIGHUP)
NOTED = (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)
PATIENCE = 1.0
"""Seconds that a terminal that takes nothing may keep us from leaving."""
HELD = (signal.SIGINT, signal.SIGTSTP, *DEADLY)
"""Do not come while the terminal is changed or put right."""


class Line(NamedTuple):
    """`style` as the numbers of an SGR sequence: "1", "33;1"."""

    text: str
    style: str = ""

    def part(self, start: int, end: int | None = None) -> str:
        text = self.text[start:end]
        return f"\x1b[{self.style}m{text}\x1b[0m" if self.style and text else text


BLANK = Line("")


class Frame:
    """What the terminal shows, and what to send it so that it shows something else."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.size = (0, 0)

    def forget(self) -> None:
        """Somebody else has drawn there."""
        self.size = (0, 0)

    def changes(self, lines: Sequence[Line], size: tuple[int, int]) -> str:
        """`size` in columns and lines; what does not fit is cut."""
        width, height = size
        sent = ""
        if size != self.size:
            sent, self.lines, self.size = "\x1b[0m\x1b[2J", [BLANK] * height, size
        wanted = [Line(shortened(text, width), style) for text, style in lines[:height]]
        wanted += [BLANK] * (height - len(wanted))
        pairs = enumerate(zip(self.lines, wanted, strict=True), 1)
        sent += "".join(patch(at, old, new) for at, (old, new) in pairs if old != new)
        self.lines = wanted
        return f"{TOGETHER}{sent}{SHOWN}" if sent else ""


def patch(at: int, old: Line, new: Line) -> str:
    """From the first difference to the last one where that is plain, else the whole line."""
    if old.style != new.style or not (plain(old.text) and plain(new.text)):
        return f"\x1b[{at}H\x1b[K{new.part(0)}"  # first, since behind the last column it would take that one
    same = alike(old.text, new.text)
    shorter = len(new.text) < len(old.text)
    if len(new.text) != len(old.text):
        return f"\x1b[{at};{same + 1}H{new.part(same)}" + "\x1b[K" * shorter
    end = len(new.text) - alike(old.text[::-1], new.text[::-1])
    return f"\x1b[{at};{same + 1}H{new.part(same, end)}"


def alike(one: str, other: str) -> int:
    """How many characters they have in common at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def plain(text: str) -> bool:
    """Every character takes one column."""
    return text.isascii() or all(cell(character) == 1 for character in text)


class Killed(BaseException):
    """By a signal; goes through everything, so that the terminal is put right on the way."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Terminal:
    """The terminal while a live view has it. `run` lends it."""

    def __init__(self) -> None:
        self.fd = sys.stdout.fileno()
        self.frame = Frame()
        self.quit = False
        self._keys: int | None = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._modes: list[Any] | None = None
        self._entered = self._stop = False
        self._colours = not os.environ.get("NO_COLOR")
        self._woken, self._waking = -1, -1

    def run(self, action: Callable[[], None]) -> None:
        """Ends by the signal that has ended the view, so that whoever started us sees it."""
        before = {number: signal.getsignal(number) for number in (*DEADLY, *NOTED)}
        self._woken, self._waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        wakeup = signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        try:
            try:
                self._listen()
                self._enter()
                action()
            finally:
                try:
                    self._leave()
                finally:  # a Ctrl-C at the beginning of the first one
                    self._leave()
        except Killed as killed:
            signal.signal(killed.number, signal.SIG_DFL)
            os.kill(os.getpid(), killed.number)
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._woken)
            os.close(self._waking)

    @property
    def fds(self) -> list[int]:
        """Readable when `serve` has something to do."""
        return [self._woken, *([] if self._keys is None else [self._keys])]

    def size(self) -> tuple[int, int]:
        try:
            columns, lines = os.get_terminal_size(self.fd)
        except OSError:
            return 80, 24
        return columns or 80, lines or 24

    def paint(self, lines: Sequence[Line]) -> None:
        if not self._colours:
            lines = [Line(text) for text, _ in lines]
        self._write(self.frame.changes(lines, self.size()))

    def serve(self) -> bool:
        """Keys and signals; whether all is to be painted again. `quit` is set when a person wants that."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)
        if self._stop:
            self._suspend()
        return self._read_keys() or self.frame.size != self.size()

    def _read_keys(self) -> bool:
        if self._keys is None or not select.select([self._keys], [], [], 0)[0]:
            return False
        try:
            keys = os.read(self._keys, 1024)
        except OSError:  # it has hung up, or belongs to somebody else now
            keys = b""
        if not keys:
            self._keys = None
        self.quit = self.quit or any(key in keys for key in (b"q", b"Q", CONTROL_D))
        if CONTROL_L in keys:
            self.frame.forget()
        return CONTROL_L in keys

    def _listen(self) -> None:
        for number in DEADLY:
            signal.signal(number, self._killed)
        for number in NOTED:
            signal.signal(number, self._noted)

    def _killed(self, number: int, _frame: object) -> None:
        for deadly in DEADLY:
            signal.signal(deadly, signal.SIG_IGN)
        raise Killed(number)

    def _noted(self, number: int, _frame: object) -> None:
        """The wake-up descriptor has got it, too."""
        self._stop = self._stop or number == signal.SIGTSTP
        if number == signal.SIGCONT and self._entered:
            self._again()

    def _again(self) -> None:
        """Somebody may have used the terminal in between."""
        self._entered = False
        self._enter()

    def _suspend(self) -> None:
        """By Ctrl-Z: the shell's screen as it was, until `fg`."""
        self._stop = False
        self._leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)  # returns when somebody lets us go on
        signal.signal(signal.SIGTSTP, self._noted)
        self._enter()

    def _enter(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        try:
            if not self._entered:
                self._entered = True
                self.frame.forget()
                self._quiet_keys()
                self._write(ENTER)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)

    def _quiet_keys(self) -> None:
        """Keys come at once and are not shown; Ctrl-C and Ctrl-Z stay signals."""
        if self._keys is None:
            return
        try:
            modes = termios.tcgetattr(self._keys)
            self._modes = self._modes or [*modes[:6], [*modes[6]]]
            modes[3] &= ~(termios.ICANON | termios.ECHO)
            termios.tcsetattr(self._keys, termios.TCSANOW, modes)
        except termios.error:
            self._keys = None

    def _leave(self) -> None:
        """May be called twice."""
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        try:
            if self._entered:
                self._entered = False
                with contextlib.suppress(OSError):  # nobody may look any more
                    self._write(LEAVE, PATIENCE)
                if self._modes is not None and self._keys is not None:
                    with contextlib.suppress(termios.error):
                        termios.tcsetattr(self._keys, termios.TCSANOW, self._modes)
                self._modes = None
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)

    def _write(self, text: str, patience: float | None = None) -> None:
        data = memoryview(text.encode(sys.stdout.encoding, errors="replace"))
        while data and select.select([], [self.fd], [], patience)[1]:  # it may have been made non-blocking by others
            data = data[os.write(self.fd, data[: select.PIPE_BUF]) :]
