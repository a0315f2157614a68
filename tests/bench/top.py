"""`trainq-cli top` on a terminal: from the start of the process to the first painting, and what it costs to look at it.

`python tests/bench/all.py top`: 1,000 jobs wait, 4 run and report and print twice a second; 142 columns, 45 lines, the
default interval of a second. The baseline of a start is one that imports Textual and does nothing.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import termios
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.shared import Row, serving, show, timed, until

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Self

    from bench.shared import Server

TIMES, SECONDS, JOBS, RUNNING = 11, 10.0, 1000, 4
TOP = (sys.executable, "-m", "trainqueue.cli", "top")
BARE = (sys.executable, "-c", "import textual.app, textual.widget")
SCRIPT = """
import time
from trainqueue import report
for step in range(1, 100_000):
    time.sleep(0.5)
    print(f"step {step} loss {3 / step:.4f}", flush=True)
    report(step=step, total=100_000, loss=3 / step)
"""


class View:
    """The program on a terminal of its own."""

    def __init__(self, env: dict[str, str]) -> None:
        self.began = time.perf_counter()
        self.terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 45, 142, 0, 0))
        self.process = subprocess.Popen(
            TOP, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        for _ in self.parts(5.0):
            pass
        self.process.wait(30)
        os.close(self.terminal)

    def parts(self, seconds: float) -> Generator[bytes, None, None]:
        """What it writes, for so long or until it ends."""
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            if select.select([self.terminal], [], [], left)[0]:
                try:
                    yield os.read(self.terminal, 65536)
                except OSError:  # EIO: it has ended
                    return

    def painted(self) -> float:
        """Milliseconds from the start to the first rows."""
        text = b""
        for part in self.parts(60.0):
            text += part
            if b"#1" in text and b"Running" in text:
                return 1000 * (time.perf_counter() - self.began)
        raise RuntimeError(text)

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def fill(server: Server) -> None:
    python = [sys.executable, "-c", SCRIPT]
    busy = {"command": python, "cwd": "/", "env": {**server.env}, "name": "trains"}
    server.client.submit([busy] * RUNNING)
    server.client.submit([{"command": ["true"], "cwd": "/", "name": f"waits {at}"} for at in range(JOBS)])
    until(lambda: len(server.client.queue(1)["running"]) == RUNNING)


def first(env: dict[str, str]) -> float:
    with View(env) as view:
        return view.painted()


def main() -> None:
    with serving(TRAINQ_FAKE_GPUS=f"{RUNNING}x24GiB", TERM="xterm-256color") as server:
        fill(server)
        bare = partial(subprocess.run, BARE, env=server.env, check=True)
        for warm_up in (bare, partial(first, server.env)):
            warm_up()
        took, bares = [], []
        for _ in range(TIMES):
            bares.append(1000 * timed(bare))
            took.append(first(server.env))
        with View(server.env) as view:
            view.painted()
            for _ in view.parts(2.0):
                pass
            cpu, began = view.cpu(), time.perf_counter()
            sent = sum(len(part) for part in view.parts(SECONDS))
            spent = time.perf_counter() - began
            rows = [
                Row("start to first rows: median", statistics.median(took), "ms", 500.0, statistics.median(bares)),
                Row("start to first rows: worst", max(took), "ms"),
                Row("to the terminal", sent / spent, "B/s", 5000.0),
                Row("processor", 100 * (view.cpu() - cpu) / spent, "%", 3.0),
                Row("memory", view.memory(), "MB", 60.0),
            ]
    show("top", "importing Textual alone", rows)


if __name__ == "__main__":
    main()
