"""Floods both its streams with so many mebibytes, as fast as it can."""

from __future__ import annotations

import os
import sys

MEBI = 1024 * 1024


def main() -> None:
    line = b"x" * 63 + b"\n"
    for number in range(int(sys.argv[1])):
        rest = memoryview(line * (MEBI // len(line)))
        while rest:
            rest = rest[os.write(1 + number % 2, rest) :]


if __name__ == "__main__":
    main()
