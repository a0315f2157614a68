"""A sweep of 10,000 jobs with `trainq-cli submit`: the time, and what they take on the disk and in memory.

`python tests/bench/all.py sweep` prints the median of 5 runs, each from the key press to the prompt. The baseline is
one message with as many whole JobSpecs, the environment in each, as a client without `defaults` would send it.
"""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli import CLI, in_pipe, on_terminal
from bench.shared import Row, Server, connected, endpoint_of, exchange, request, serving, show, spec, timed

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE, TIMES = 100, 5
JOBS = SIDE * SIDE
VARIABLES = {f"VARIABLE_{at:02}": f"{at:030}" for at in range(20)}
"""So few that 10,000 times as many fit into one message."""
SWEEP = (
    *CLI,
    "submit",
    "--sweep",
    f"a=1..{SIDE}",
    "--sweep",
    f"b=1..{SIDE}",
    "--",
    "train",
    "--a",
    "{a}",
    "--b",
    "{b}",
)


def taken(server: Server) -> tuple[float, float]:
    """Bytes on the disk and in memory."""
    disk = sum(path.stat().st_size for path in server.home.glob("trainq.db"))
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
    resident = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return float(disk), 1024.0 * int(resident)


def run(act: Callable[[Server], object]) -> tuple[float, float, float]:
    """Seconds that one takes, and bytes for each job on the disk and in memory."""
    with serving() as server:
        server.client.call("pause")
        before = taken(server)
        took = statistics.median(timed(partial(act, server)) for _ in range(TIMES))
        server.client.call("queue")  # what was told to it before is done
        disk, memory = (after - was for after, was in zip(taken(server), before, strict=True))
        return took, disk / JOBS / TIMES, memory / JOBS / TIMES


def whole(server: Server) -> None:
    jobs = [spec("train", "--a", str(at), "--b", str(at), env=VARIABLES, tags={"a": "1"}) for at in range(JOBS)]
    with connected(endpoint_of(server)) as socket:
        exchange(socket, request("submit", jobs=jobs))


def main() -> None:
    sent, sent_disk, sent_memory = run(whole)
    piped, _, _ = run(lambda server: in_pipe(SWEEP, server.env | VARIABLES))
    typed, disk, memory = run(lambda server: on_terminal(SWEEP, server.env | VARIABLES))
    rows = [
        Row(f"{JOBS:,} jobs, on a terminal", typed, "s", 2.0, sent),
        Row(f"{JOBS:,} jobs, in a pipe", piped, "s", 2.0, sent),
        Row("on the disk, a job", disk, "bytes", 1500.0, sent_disk),
        Row("in memory, a job", memory, "bytes", 5000.0, sent_memory),
    ]
    show("sweep", f"{JOBS:,} whole JobSpecs with {len(VARIABLES)} variables each, in one message", rows)


if __name__ == "__main__":
    main()
