"""The exit record: what became of the attempt, written so that it appears whole and stays."""

import errno
import json
import os
import time
from typing import Any, NamedTuple

TRIES = 3600
PAUSE = 1.0
"""Seconds between tries while the disk is full: an hour in all. A living runner keeps the truth meanwhile."""


class Dead(NamedTuple):
    """A process that has been waited for; `max_rss` in bytes, of the largest of it and its descendants."""

    pid: int
    status: int
    max_rss: int


def start_failed(sentence: str, at: float) -> dict[str, Any]:
    fields: dict[str, Any] = dict.fromkeys(("exit_code", "signal", "pid", "max_rss"))
    return {**fields, "reason": "start-failed", "message": sentence, "started_at": at, "ended_at": at, "seconds": 0.0}


def ended(main: Dead, reason: str | None, at: float, seconds: float, message: str = "") -> dict[str, Any]:
    """`seconds` is measured on the monotonic clock, so a clock that is set back makes no negative run."""
    code = os.waitstatus_to_exitcode(main.status)
    return {
        "exit_code": code if code >= 0 else None,
        "signal": -code if code < 0 else None,
        "reason": reason,
        "message": message,
        "started_at": at,
        "ended_at": max(time.time(), at),
        "seconds": seconds,
        "pid": main.pid,
        "max_rss": main.max_rss,
    }


def write(folder: str, result: dict[str, Any]) -> None:
    text = json.dumps(result).encode()
    for _ in range(TRIES):
        try:
            write_once(folder, text)
        except FileNotFoundError:
            return  # the home was removed: nobody will ask
        except OSError:
            time.sleep(PAUSE)
        else:
            return


def write_once(folder: str, text: bytes) -> None:
    """Temporary name, fsync, rename, fsync of the folder."""
    fd = os.open(folder + "/exit.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(folder + "/exit.new", folder + "/exit")
    sync_folder(folder)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """So that its names survive a power cut. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
