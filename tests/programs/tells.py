"""Tells what it finds at its start, as JSON on standard output."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    fds = [fd for fd in range(100) if Path(f"/proc/self/fd/{fd}").exists()]
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Sig"))
    usual = 1 << 12 | 1 << 24 | 1 << 31 | 1 << 32  # the interpreter ignores SIGPIPE and SIGXFSZ, libc its own 32 and 33
    told = {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "pgid": os.getpgid(0),
        "sid": os.getsid(0),
        "fds": fds,
        "stdin": sys.stdin.read(),
        "blocked": int(masks["SigBlk"], 16),
        "ignored": int(masks["SigIgn"], 16) & ~usual,
        "argv": [os.fsencode(word).hex() for word in sys.argv[1:]],
        "odd": os.fsencode(os.environ.get("ODD", "")).hex(),
        "cwd": os.fsencode(Path.cwd()).hex(),
        "umask": os.umask(0),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
