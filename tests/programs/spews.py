r"""Writes so many mebibytes in one go, between a first and a last line. `spews.py lines|long|returns|binary MEBIBYTES`.

`long` has no newline at all, `returns` only \r, as progress bars have; `binary` is every byte there is.
"""

from __future__ import annotations

import os
import sys

MEBI = 1024 * 1024
KINDS = {"lines": b"x" * 63 + b"\n", "long": b"x" * 64, "returns": b"x" * 63 + b"\r", "binary": bytes(range(256))}


def write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


def main() -> None:
    piece = KINDS[sys.argv[1]]
    write(b"the first line\n")
    for _ in range(int(sys.argv[2])):
        write(piece * (MEBI // len(piece)))
    write(b"\nthe last line\n")


if __name__ == "__main__":
    main()
