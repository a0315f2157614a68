"""`queue --watch` on a terminal: until the first picture, and what it costs to stay, with 1,000 jobs that wait.

`python tests/bench/all.py watch`: four jobs run and report twice a second, the terminal has 142 columns and 45 lines.
The baseline of the first picture is `queue`, the whole process, on the same terminal.
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
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli import CLI, on_terminal
from bench.shared import Row, Server, serving, show, spec, timed, until

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMES, WAITING, RUNNING = 20, 1000, 4
SECONDS = 20.0
REPORTS = """
import json, os, time
path = os.environ["TRAINQ_PROGRESS"]
for step in range(100000):
    with open(path + ".new", "w") as file:
        json.dump({"step": step, "total": 3000, "loss": 1 / (step + 1), "rate": 2}, file)
    os.rename(path + ".new", path)
    time.sleep(0.5)
"""
WATCH = (*CLI, "queue", "--watch")
TICKS = os.sysconf("SC_CLK_TCK")


class Watcher:
    """A process on a terminal of its own."""

    def __init__(self, command: Sequence[str], env: dict[str, str]) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 45, 142, 0, 0))
        self.process = subprocess.Popen(
            command, env=env | {"TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)

    def read(self, seconds: float, wanted: bytes | None = None) -> bytes:
        """What it writes in so many seconds, or until this has come."""
        data, end = b"", time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and (wanted is None or wanted not in data):
            if select.select([self.ours], [], [], left)[0]:
                data += os.read(self.ours, 65536)
        return data

    def processor(self) -> float:
        """Seconds of it used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        """Mebibytes that are its own."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024

    def close(self) -> None:
        os.write(self.ours, b"q")
        self.read(5, b"\x1b[?1049l")
        self.process.wait(10)
        os.close(self.ours)


def first_picture(env: dict[str, str]) -> float:
    began = time.perf_counter()
    watcher = Watcher(WATCH, env)
    watcher.read(20, b"more")
    took = time.perf_counter() - began
    watcher.close()
    return took


def filled(server: Server) -> None:
    """Four that run and a thousand that wait."""
    env = {"PATH": os.environ["PATH"]}
    server.client.submit([spec(sys.executable, "-c", REPORTS, env=env)] * RUNNING)
    until(lambda: server.client.queue(1)["counts"].get("running") == RUNNING)
    server.client.submit([spec("true", name=f"sweep-{at}") for at in range(WAITING)])


def main() -> None:
    with serving(TRAINQ_FAKE_GPUS=f"{RUNNING}x24GiB") as server:
        filled(server)
        on_terminal(WATCH[:-1], server.env)
        usual = [1000 * timed(lambda: on_terminal(WATCH[:-1], server.env)) for _ in range(TIMES)]
        first = [1000 * first_picture(server.env) for _ in range(TIMES)]
        watcher = Watcher(WATCH, server.env)
        watcher.read(3)
        before = watcher.processor()
        busy = watcher.read(SECONDS)
        used, memory = watcher.processor() - before, watcher.memory()
        server.client.cancel([1, 2, 3, 4], force=True)
        server.client.call("pause")
        watcher.read(3)
        before = watcher.processor()
        quiet = watcher.read(SECONDS / 2)
        idle = watcher.processor() - before
        watcher.close()
    rows = [
        Row("first picture: median", statistics.median(first), "ms", 150.0, statistics.median(usual)),
        Row("bytes a second, 4 jobs report at 2 Hz", len(busy) / SECONDS, "B/s", 1000.0),
        Row("processor meanwhile", 100 * used / SECONDS, "%", 3.0),
        Row("memory (PSS)", memory, "MiB", 30.0),
        Row("bytes while nothing changes", len(quiet), "B", 0.0),
        Row("processor meanwhile", 100 * idle / (SECONDS / 2), "%", 1.0),
    ]
    show("watch", "`queue` on the same terminal", rows)


if __name__ == "__main__":
    main()
