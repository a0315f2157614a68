"""Sends a child away: forked twice, in a session of its own, deaf to SIGTERM, with an empty environment.

`escapes.py end` ends once the child is away, `escapes.py stay` lives on.
"""

from __future__ import annotations

import os
import signal
import sys


def away() -> None:
    """Its end of the pipe closes when it is away for good."""
    os.setsid()
    if os.fork():
        os._exit(0)
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, b"escaped %d\n" % os.getpid())
    os.execve("/bin/sleep", ["sleep", "1000"], {})


def main() -> None:
    read, write = os.pipe()
    if os.fork() == 0:
        away()
    os.wait()
    os.close(write)
    os.read(read, 1)
    if sys.argv[1] == "stay":
        print("ready", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
