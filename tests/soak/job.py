"""A job of the kill soak: says itself when, on what and as whom it runs, and sees by its locks whether it is alone.

`job.py FOLDER KEY EDITION CODES SECONDS MODE`, run by a bare interpreter. CODES are the exit codes of its attempts,
such as "3,0". A line of FOLDER/stamps is: what job attempt key edition pid runner monotonic-seconds gpus word. MODE
is `plain`, `deaf` (to SIGTERM), `brood` (leaves a deaf child in its group), `away` (a deaf one that has left its
session), `ticks` (reports, and stamps all the while), `saves` (ends itself at SIGTERM). Children keep the locks, so
that a job that starts while one of them lives sees it. In a weekend (SOAK_WEEKEND) it says more of what it found.
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


def take(folder: str, name: str, stamps: Stamps, *, shared: bool = False) -> None:
    """Hold a lock until the last of us is dead; say so when somebody else holds it."""
    fd = os.open(f"{folder}/locks/{name}", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
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


def found() -> str:
    """What a job of a weekend was given, for the start stamp."""
    mine, mask = os.environ, os.umask(0o22)
    os.umask(mask)
    told = {
        "resume": mine.get("TRAINQ_RESUME", "0"),
        "extra": "+".join(sys.argv[7:]),
        "cwd": os.path.basename(os.getcwd()),  # noqa: PTH109, PTH119
        "umask": str(mask),
        "denied": str(int("WEEKEND_DENIED" in mine)),
        "n": mine.get("WEEKEND_N", ""),
        "kept": str(int("WEEKEND_KEPT" in mine)),
        "frozen": str(int(os.path.exists("frozen"))),  # noqa: PTH110
    }
    return ",".join(f"{name}={value}" for name, value in told.items())


def listen(stamps: Stamps, mode: str, code: str) -> None:
    """A person's jobs outlive the warning, and some save and end when they are told to."""

    def tell(*_: object) -> None:
        stamps.write("told")

    def save(*_: object) -> None:
        stamps.write("stop", code)
        os._exit(int(code))

    signal.signal(signal.SIGUSR1, tell)
    if mode == "saves":
        signal.signal(signal.SIGTERM, save)


def spend(seconds: float, stamps: Stamps) -> None:
    """Says all the while that it goes on."""
    path, until, step = os.environ["TRAINQ_PROGRESS"], time.monotonic() + seconds, 0
    while time.monotonic() < until:
        step += 1
        stamps.write("tick", str(step))
        with open(path + ".new", "w") as file:  # noqa: PTH123
            file.write(f'{{"step": {step}, "total": {int(seconds / 0.1) + 1}}}')
        os.replace(path + ".new", path)  # noqa: PTH105
        time.sleep(0.1)


def main() -> None:
    folder, key, edition, codes, seconds, mode = sys.argv[1:7]
    stamps = Stamps(folder, key, edition)
    each = codes.split(",")
    code = each[min(int(os.environ["TRAINQ_ATTEMPT"]), len(each)) - 1]
    weekend = "SOAK_WEEKEND" in os.environ
    if weekend:
        listen(stamps, mode, code)
        os.write(1, f"job {os.environ['TRAINQ_JOB_ID']} attempt {os.environ['TRAINQ_ATTEMPT']}\n".encode())
    take(folder, "job-" + os.environ["TRAINQ_JOB_ID"], stamps)
    for gpu in stamps.gpus.split(",") if stamps.gpus else []:
        take(folder, gpu, stamps, shared="SOAK_SHARE" in os.environ)
    stamps.write("start", found() if weekend else "-")
    if mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif mode == "brood":
        brood()
    elif mode == "away":
        away()
    if mode == "ticks":
        spend(float(seconds), stamps)
    else:
        time.sleep(float(seconds))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it has said how it ends
    stamps.write("stop", code)
    os._exit(int(code))


main()
