"""What a runner that was killed could not clean up: found by the job's mark or its session, and killed.

A job that clears its environment and leaves its session escapes this; nothing escapes a living runner.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from trainqueue.launch import verdict


def sweep(folder: Path) -> int:
    """One round over what is left of the attempt in `folder`, before its GPU is given on: how many were found."""
    job_folder, session = folder.parent, verdict.started_in(folder).get("pid")
    mark = b"TRAINQ_JOB_DIR=" + os.fsencode(job_folder) + b"\0"
    found = 0
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit() and int(entry) != os.getpid() and _belongs(int(entry), mark, session):
            found += 1
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(entry), signal.SIGKILL)
    return found


def _belongs(pid: int, mark: bytes, session: int | None) -> bool:
    try:
        if session is not None and os.getsid(pid) == session:
            return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in b"ZX"
        return mark in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
