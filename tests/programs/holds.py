"""A job whose work is done by a child that hides: forked twice, in a session of its own, with an empty environment.

The child holds a lock on the file PATH, as one holds a GPU, and makes PATH.held when it has it. `holds.py PATH` lives
on, and so does its child, which has the log as its output, or with `holds.py PATH quiet` nothing that tells of the job.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path

PATH = Path(sys.argv[1])


def hide() -> None:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.setsid()
    for polite in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(polite, signal.SIG_IGN)
    lock = os.open(PATH, os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock, True)  # noqa: FBT003
    if "quiet" in sys.argv:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (1, 2):
            os.dup2(null, fd)
    PATH.with_suffix(".held").write_text(str(os.getpid()))
    os.execve("/bin/sleep", ["sleep", "1000"], {})


if os.fork() == 0:
    hide()
os.wait()
signal.pause()
