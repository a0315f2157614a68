"""Has so many children; every second leaves the session, all ignore SIGTERM. `breeds.py N end|stay`."""

from __future__ import annotations

import os
import signal
import sys


def child(number: int) -> None:
    if number % 2:
        os.setsid()
    while True:
        signal.pause()


def main() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for number in range(int(sys.argv[1])):
        if os.fork() == 0:
            child(number)
    print("ready", flush=True)
    if sys.argv[2] == "stay":
        signal.pause()


if __name__ == "__main__":
    main()
