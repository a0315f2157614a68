"""An idle daemon beside one running job: its memory, wake-ups and processor time over 10 s.

`python tests/bench/all.py idle` prints them. Only trainqd itself is looked at; runners are processes of their own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.shared import Row, serving, show, spec, until

SECONDS, SETTLE = 10.0, 3.0
MOST_MB, MOST_WAKEUPS = 45.0, 2.0


@dataclass(frozen=True, slots=True)
class Look:
    """What /proc says of a process at one moment."""

    switches: dict[str, int]
    ticks: int

    @classmethod
    def at(cls, pid: int) -> Look:
        tasks = {task.name: task / "status" for task in Path(f"/proc/{pid}/task").iterdir()}
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return cls({name: switches(path) for name, path in tasks.items()}, int(stat[11]) + int(stat[12]))


def switches(status: Path) -> int:
    """Context switches of a thread, voluntary or not."""
    found = re.findall(r"ctxt_switches:\s*(\d+)", status.read_text(encoding="utf-8"))
    return sum(map(int, found))


def resident(pid: int) -> float:
    """Megabytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmRSS:\s*(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def bare() -> float:
    """Memory of an interpreter that only sleeps."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    try:
        time.sleep(0.5)
        return resident(process.pid)
    finally:
        process.kill()
        process.wait()


def main() -> None:
    plain = bare()
    with serving() as server:
        job = server.client.submit([spec("sleep", "60")])[0]["id"]
        until(lambda: server.client.status(job).state == "running")
        time.sleep(SETTLE)
        before = Look.at(server.pid)
        time.sleep(SECONDS)
        after = Look.at(server.pid)
        memory = resident(server.pid)
    woken = sum(count - before.switches.get(name, 0) for name, count in after.switches.items())
    busy = 1000 * (after.ticks - before.ticks) / os.sysconf("SC_CLK_TCK")
    rows = [
        Row("resident memory", memory, "MB", MOST_MB, plain),
        Row("wake-ups a second", woken / SECONDS, "/s", MOST_WAKEUPS),
        Row(f"processor time in {SECONDS:.0f} s", busy, "ms"),
    ]
    show("idle", "a bare interpreter that sleeps", rows, f"trainqd has {len(after.switches)} threads")


if __name__ == "__main__":
    main()
