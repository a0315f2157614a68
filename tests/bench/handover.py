"""The hand-over gap: from the last instruction of a job to the first of the next, through one slot.

`python tests/bench/all.py handover` prints it for 300 jobs that do nothing and for 60 jobs of 60 ms, which give
the daemon time to arm the next one. A job is a small program that notes the monotonic clock first and last.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path

from bench.shared import Row, Server, p90, serving, show, spec

MOST_OVER_BASELINE = 2.0
ROUNDS = (("jobs that do nothing", 300, 0), ("jobs of 60 ms", 60, 60))

C_SOURCE = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    if (argc != 3) return 2;
    if (atoi(argv[2])) usleep(1000 * atoi(argv[2]));
    int fd = open(argv[1], O_CREAT | O_WRONLY | O_APPEND, 0600);
    clock_gettime(CLOCK_MONOTONIC, &b);
    dprintf(fd, "%.9f %.9f\n", a.tv_sec + 1e-9 * a.tv_nsec, b.tv_sec + 1e-9 * b.tv_nsec);
    return 0;
}
"""
PERL_SOURCE = r"""
use Time::HiRes qw(clock_gettime usleep CLOCK_MONOTONIC);
my $a = clock_gettime(CLOCK_MONOTONIC);
usleep(1000 * $ARGV[1]) if $ARGV[1];
open(my $file, '>>', $ARGV[0]);
printf $file "%.9f %.9f\n", $a, clock_gettime(CLOCK_MONOTONIC);
"""


def stamper(folder: Path) -> list[str]:
    """The job's program: compiled where there is a compiler, else for perl."""
    compiler, perl = shutil.which("cc"), shutil.which("perl")
    if compiler:
        (folder / "stamp.c").write_text(C_SOURCE, encoding="ascii")
        subprocess.run([compiler, "-O2", "-o", folder / "stamp", folder / "stamp.c"], check=True)
        return [str(folder / "stamp")]
    if perl:
        return [perl, "-e", PERL_SOURCE]
    msg = "neither cc nor perl is here to make the job of"
    raise SystemExit(msg)


def commands(program: list[str], folder: Path, count: int, milliseconds: int) -> list[list[str]]:
    folder.mkdir()
    return [[*program, str(folder / f"{at}"), str(milliseconds)] for at in range(count)]


def gaps(folder: Path, count: int) -> list[float]:
    """Milliseconds from each end to the next start."""
    stamps = [[*map(float, (folder / f"{at}").read_text(encoding="ascii").split())] for at in range(count)]
    found = [1000 * (after[0] - before[1]) for before, after in pairwise(stamps)]
    assert min(found) > 0, "two jobs ran at the same time"
    return found


def bare_loop(jobs: list[list[str]]) -> None:
    for argv in jobs:
        os.waitpid(os.posix_spawn(argv[0], argv, os.environ), 0)


def queued(server: Server, jobs: list[list[str]]) -> None:
    """Submitted in one message while paused, then let go, until the last has ended."""
    server.client.call("pause")
    made = server.client.submit([spec(*argv) for argv in jobs])
    server.client.call("resume")
    server.client.wait([made[-1]["id"]], timeout=120)


def measure(server: Server, folder: Path, program: list[str], kind: tuple[str, int, int]) -> list[Row]:
    name, count, milliseconds = kind
    bare_loop(commands(program, folder / f"bare-{milliseconds}", count, milliseconds))
    queued(server, commands(program, folder / f"queued-{milliseconds}", count, milliseconds))
    bare, ours = gaps(folder / f"bare-{milliseconds}", count), gaps(folder / f"queued-{milliseconds}", count)
    usual = statistics.median(bare)
    return [
        Row(f"{count} {name}: median", statistics.median(ours), "ms", MOST_OVER_BASELINE * usual, usual),
        Row(f"{count} {name}: p90", p90(ours), "ms", None, p90(bare)),
    ]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="trainq-bench-") as name, serving() as server:
        folder = Path(name)
        program = stamper(folder)
        rows = [row for kind in ROUNDS for row in measure(server, folder, program, kind)]
    show("handover", "os.posix_spawn and os.waitpid of the same program, in a loop", rows)


if __name__ == "__main__":
    main()
