"""One line about the job below its own output, on a terminal, while `run` and `logs -f` have nothing else to show.

It is drawn only where the job's output has left the cursor at the beginning of a line with nothing below, and rubbed
out before anything else is written, so that what stays is what the job has printed, byte for byte. A job that draws a
bar of its own ends with half a line, and one that moves the cursor about owns the screen: there we stay away.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from trainqueue.cli.scene import position, status_line, waits
from trainqueue.cli.screen import clean, padded, took

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from trainqueue.client import Client

QUIET, PATIENCE = 0.1, 1.0
"""Seconds: of silence before the line comes up (where it was up it comes back at once); for a terminal that waits."""
TICK, OFTEN = 1.0, 0.4
"""Seconds between two looks at the line, and between two drawings of it at least."""
FRESH, FRESH_RUNNING = 2.0, 5.0
"""Seconds for which what the daemon told of the job is good: of a waiting one the position changes without an event."""
CLEAR, DONE = b"\r\x1b7\x1b[0m\x1b[J", b"\x1b8"
"""The cursor and the job's colours are kept and given back; the end of the screen is erased, since a line may have
been broken in two when the terminal became narrow."""
STOPS = (signal.SIGTSTP, signal.SIGTERM, signal.SIGHUP)
MOVES = re.compile(rb"\x1b(?:\[[02]?J|c|\[\?(?:1049|1047|47)[hl]|\[[0-9;]*[AFHfdLMSTru]|[8MP])")
"""What moves the cursor to other lines, or empties those below it."""
EMPTIES = frozenset({b"\x1b[J", b"\x1b[0J", b"\x1b[2J", b"\x1bc"})
LEVEL = re.compile(rb"(?:\A|\n)(?:\r|\x1b\[[0-9;?]*[mKhl])*\Z")
"""The end of an output behind which the cursor is at the beginning of a line; colours and the like take no place."""
OPEN = re.compile(rb"\x1b(?:\[[0-9;?]*)?\Z")
FAR = 1 << 30
ENDLESS = 3600.0


class Ground:
    """Where the job's output has left the cursor."""

    def __init__(self) -> None:
        self.level = True
        """At the beginning of a line."""
        self.owed = 0
        """Newlines until the cursor is at the bottom for certain: the job has been elsewhere."""
        self._empty = False
        """Nothing has come since the screen was emptied: the cursor may go anywhere."""
        self._begun = b""
        """Of an escape sequence."""

    @property
    def safe(self) -> bool:
        return self.level and self.owed <= 0 and not self._begun

    def passed(self, data: bytes, height: int) -> None:
        data = self._begun + data
        begun = OPEN.search(data[-32:])
        self._begun = b"" if begun is None else begun[0]
        data = data[: len(data) - len(self._begun)]
        if data:
            self._ends(data)
            if self.owed > 0 or self._empty or b"\x1b" in data:
                self._follow(data, height)

    def _ends(self, data: bytes) -> None:
        tail = data[-64:]
        found = LEVEL.search(tail)
        if found is None:
            self.level = False
        elif found[0].startswith(b"\n"):
            self.level = True
        elif len(tail) < len(data):
            self.level = False  # nothing but colours, as far as we look

    def _follow(self, data: bytes, height: int) -> None:
        at = 0
        for move in MOVES.finditer(data):
            self._written(data, at, move.start())
            self._moved(move[0], height)
            at = move.end()
        self._written(data, at, len(data))

    def _written(self, data: bytes, start: int, end: int) -> None:
        self._empty = self._empty and start == end
        if 0 < self.owed < FAR:
            self.owed = max(0, self.owed - data.count(b"\n", start, end))

    def _moved(self, move: bytes, height: int) -> None:
        if move.startswith(b"\x1b[?"):  # another screen, until it is left
            self.owed = FAR if move.endswith(b"h") else height
        elif self.owed == FAR:
            pass
        elif move in EMPTIES:
            self.owed, self._empty = 0, move in {b"\x1b[2J", b"\x1bc"}
        elif not self._empty:
            self.owed = height


class Footer:
    """An onlooker of a Tail; a context in which the line may be on the screen."""

    def __init__(self, client: Client, job: int) -> None:
        self.client, self.job = client, job
        self.topics: tuple[str, ...] = (f"progress.{job}",)
        self.ground = Ground()
        self._fd = sys.stdout.fileno()
        self._drawn: tuple[str, int] | None = None
        self._was_up = False
        self._drawn_at = 0.0
        self._quiet_since = time.monotonic()
        self._told: dict[str, Any] = {}
        self._gpus: list[dict[str, Any]] = []
        self._told_at = -ENDLESS
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._told_at = -ENDLESS
        self._quiet_since, self._was_up = time.monotonic(), False
        self._before = {number: signal.signal(number, self._stop) for number in STOPS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.rub_out()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def rub_out(self) -> None:
        """Before anything else is written."""
        if self._drawn is not None:
            self._was_up = True
            with contextlib.suppress(OSError):
                self._put(b"", None)

    def passed(self, data: bytes) -> None:
        """This has been written."""
        self.ground.passed(data, self._size().lines)
        self._quiet_since = time.monotonic()

    def hear(self, event: dict[str, Any]) -> None:
        if event.get("id") != self.job:
            return
        if event["type"] == "progress":
            self._told["progress"] = event["progress"]
        else:
            self._told_at = -ENDLESS

    def idle(self) -> float:
        """Nothing is to be shown: draw what is due; when to be called again. Raises DaemonError."""
        if not self.ground.safe or not self._in_front():
            self.rub_out()
            return ENDLESS
        left = self._due() - time.monotonic()
        if left > 0:
            return left
        width = self._size().columns
        text = padded(self._text(width - 1), width - 1).rstrip()
        if self._drawn != (text, width):
            self._put(text.encode(sys.stdout.encoding, errors="replace"), (text, width))
            self._drawn_at = time.monotonic()
        return TICK

    def _due(self) -> float:
        """When it may be drawn."""
        if self._drawn is not None:
            return self._drawn_at + OFTEN
        return 0.0 if self._was_up else self._quiet_since + QUIET

    def _text(self, room: int) -> str:
        age = time.monotonic() - self._told_at
        if age > (FRESH_RUNNING if self._told.get("state") == "running" else FRESH):
            self._told = self.client.call("status", job=self.job)["job"]
            self._gpus = self.client.gpus() if in_the_middle(self._told) else []
            self._told_at, age = time.monotonic(), 0.0
        return clean(sentence(self._told, self._gpus, age, room))

    def _put(self, text: bytes, drawn: tuple[str, int] | None) -> None:
        """A stop between the writing and its note would leave the line on the shell's screen."""
        ready = select.select([], [self._fd], [], PATIENCE)[1]  # somebody may have pressed Ctrl-S, and a stop must work
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            self._drawn = drawn
            if ready:
                os.write(self._fd, CLEAR + text + DONE)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def _stop(self, number: int, _frame: object) -> None:
        """By Ctrl-Z or for good: as without us, but for the line."""
        self.rub_out()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._stop)

    def _in_front(self) -> bool:
        """Whether the terminal is ours: the shell's prompt is no place for us."""
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return True

    def _size(self) -> os.terminal_size:
        try:
            size = os.get_terminal_size(self._fd)
        except OSError:
            return os.terminal_size((80, 24))
        return os.terminal_size((size.columns or 80, size.lines or 24))


def in_the_middle(job: dict[str, Any]) -> bool:
    """It waits for its turn, and its `why` tells no more than that."""
    return job["why_code"] == "position" and (job["position"] or 0) > 1


def sentence(job: dict[str, Any], gpus: list[dict[str, Any]], age: float, room: int) -> str:
    """The job in a line of so many cells, so many seconds after it was told."""
    name, now = f"job {job['id']}", time.time()
    if job["state"] == "queued":
        return "; ".join([f"{name} queued{position(job)}, {waits(job, now)}", *holders(gpus)])
    if job["state"] != "running":
        return f"{name}: {job['state']}"
    told = next((word for word in ("stopping", "preempting", "suspended") if job.get(word)), "")
    ran = job["run_time"] + (0.0 if told == "suspended" else age)
    head = f"{name}: " + (f"{told}, " if told else "")
    return head + (status_line(job, now, room - len(head)) or f"running for {took(ran)}")


def holders(gpus: list[dict[str, Any]]) -> list[str]:
    """Who is on them: GPU 0 runs job 5."""
    busy = [gpu for gpu in gpus if gpu["jobs"] and gpu["index"] is not None and not gpu["id"].startswith("cpu:")]
    said = [f"GPU {gpu['index']} runs job {', '.join(map(str, gpu['jobs']))}" for gpu in busy[:2]]
    return said + ([f"and {len(busy) - 2} more"] if len(busy) > 2 else [])
