"""A job of the kill soak: says itself when, on what and as whom it runs, and sees by its locks whether it is alone.

`job.py FOLDER KEY EDITION CODES SECONDS MODE`, run by a bare interpreter. CODES are the exit codes of its attempts,
such as "3,0". A line of FOLDER/stamps is: what job attempt key edition pid runner monotonic-seconds gpus word. MODE
is `plain`, `deaf` (to SIGTERM), `brood` (leaves a deaf child in its group), `away` (a deaf one that has left its
session). Children keep the locks, so that a job that starts while one of them lives sees it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time

LONG = 300.0
"""Seconds that a child lives if nobody kills it."""


class Stamps:
    """Appends lines, each in one write."""

    def __init__(self, folder: str, key: str, edition: str) -> None:
        self.fd = os.open(f"{folder}/stamps", os.O_WRONLY | os.O_APPEND)
        mine = os.environ
        self.who = f"{mine['TRAINQ_JOB_ID']} {mine['TRAINQ_ATTEMPT']} {key} {edition} {os.getpid()} {runner()}"
        self.gpus = mine["TRAINQ_GPU_IDS"]

    def write(self, what: str, word: str = "-") -> None:
        os.write(self.fd, f"{what} {self.who} {time.monotonic()} {self.gpus or '-'} {word}\n".encode())


def runner() -> int:
    """The pid of our runner; 0 for one whose runner died at its birth, which has fallen to somebody else."""
    parent = os.getppid()
    try:
        with open(f"/proc/{parent}/stat", "rb") as file:  # noqa: PTH123  (pathlib costs us 5 ms)
            nursery = int(file.read().rpartition(b")")[2].split()[1])
        with open(f"/proc/{nursery}/cmdline", "rb") as file:  # noqa: PTH123
            return parent if b"/trainqueue/runner" in file.read() else 0
    except OSError:
        return 0


def take(folder: str, name: str, stamps: Stamps) -> None:
    """Hold a lock until the last of us is dead; say so when somebody else holds it."""
    fd = os.open(f"{folder}/locks/{name}", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stamps.write("overlap", name)


def linger() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(LONG)
    os._exit(0)


def brood() -> None:
    if os.fork() == 0:
        linger()


def away() -> None:
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            linger()
        os._exit(0)
    os.waitpid(child, 0)


def main() -> None:
    folder, key, edition, codes, seconds, mode = sys.argv[1:7]
    stamps = Stamps(folder, key, edition)
    take(folder, "job-" + os.environ["TRAINQ_JOB_ID"], stamps)
    for gpu in stamps.gpus.split(",") if stamps.gpus else []:
        take(folder, gpu, stamps)
    stamps.write("start")
    if mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif mode == "brood":
        brood()
    elif mode == "away":
        away()
    time.sleep(float(seconds))
    each = codes.split(",")
    code = each[min(int(os.environ["TRAINQ_ATTEMPT"]), len(each)) - 1]
    stamps.write("stop", code)
    os._exit(int(code))


main()
