"""Beside simpler ways to run one command after another: a shell loop and, where installed, task-spooler (tsp).

`python tests/bench/all.py peers` prints the wall time of 100 jobs `true` (queued first, then let go) and the time
of one submit command. The baseline column is the rival; one that is not installed is named and left out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.shared import Row, Server, serving, show, spec, timed

if TYPE_CHECKING:
    from collections.abc import Sequence

JOBS, TIMES = 100, 15
TRUE = shutil.which("true") or "/bin/true"


def quietly(command: Sequence[str], env: dict[str, str]) -> None:
    subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True)


def submit_ms(command: Sequence[str], env: dict[str, str]) -> float:
    return 1000 * statistics.median(timed(lambda: quietly(command, env)) for _ in range(TIMES))


# -- each returns seconds for all jobs, and milliseconds of one submit command where there is one


def trainq(server: Server) -> tuple[float, float]:
    server.client.call("pause")
    last = server.client.submit([spec(TRUE)] * JOBS)[-1]["id"]

    def run() -> None:
        server.client.call("resume")
        server.client.wait([last], timeout=120)

    took = timed(run)
    server.client.call("pause")
    return took, submit_ms([sys.executable, "-m", "trainqueue.cli", "submit", "--", TRUE], server.env)


def shell() -> float:
    script = f"for at in $(seq {JOBS}); do {TRUE}; done"
    return timed(lambda: quietly(["sh", "-c", script], dict(os.environ)))


def tsp(program: str) -> tuple[float, float]:
    """A server of its own; its first job reads a pipe until all others are queued."""
    with tempfile.TemporaryDirectory(prefix="tsp-") as folder:
        gate = Path(folder, "gate")
        os.mkfifo(gate)
        env = {**os.environ, "TS_SOCKET": f"{folder}/socket", "TMPDIR": folder, "TS_MAXFINISHED": "10"}
        try:
            quietly([program, "-n", "cat", str(gate)], env)
            submit = submit_ms([program, "-n", TRUE], env)
            quietly(["sh", "-c", f"for at in $(seq {JOBS - TIMES}); do {program} -n {TRUE}; done"], env)

            def run() -> None:
                gate.write_bytes(b"")
                quietly([program, "-w"], env)

            return timed(run), submit
        finally:
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                quietly([program, "-K"], env)


def main() -> None:
    loop = shell()
    with serving() as server:
        jobs, submit = trainq(server)
    rows = [Row(f"{JOBS} jobs, beside a shell loop", jobs, "s", None, loop)]
    notes: list[str] = []
    program = shutil.which("tsp")
    if program is None:
        rows.append(Row("one submit command", submit, "ms"))
        notes.append("left out, since it is not installed: tsp (package task-spooler)")
    else:
        their_jobs, their_submit = tsp(program)
        rows.append(Row(f"{JOBS} jobs, beside tsp", jobs, "s", None, their_jobs))
        rows.append(Row("one submit command, beside tsp", submit, "ms", None, their_submit))
    show("peers", "the rival", rows, *notes)


if __name__ == "__main__":
    main()
