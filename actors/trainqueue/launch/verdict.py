"""What became of an attempt, from what lies in its folder.

`exit` is the runner's record. `claim` is a file that the runner makes with O_EXCL before it starts the job, or a link
that a daemon makes to be sure that it never will: whoever makes it owns the attempt. The runner writes the job's GPUs
into its claim before it starts the job, so a claim without words means that nothing was started.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any, Literal

from trainqueue.core.events import Result

if TYPE_CHECKING:
    from pathlib import Path

VOID = "void"
"""What a daemon's claim points to; a link appears with its content, and needs no free block."""


def result_of(record: dict[str, Any]) -> Result:
    return Result(
        exit_code=record.get("exit_code"),
        signal=record.get("signal"),
        reason=record.get("reason"),
        message=str(record.get("message") or ""),
        started_at=record.get("started_at"),
        ended_at=float(record["ended_at"]),
        run_time=record.get("seconds"),
    )


def record_in(folder: Path) -> Result | None:
    """The exit record, or None while there is none (it appears whole). Raises OSError: nobody can say now."""
    try:
        return result_of(json.loads((folder / "exit").read_bytes()))
    except (FileNotFoundError, ValueError, KeyError):
        return None


def started_in(folder: Path) -> dict[str, Any]:
    """What the runner wrote into its claim; empty without words.

    `env`, who it is and its nursery (`runner`), and once the job lives its `pid`, `ticks`, `at` and `began`.
    """
    words: dict[str, Any] = {}
    try:
        for line in (folder / "claim").read_bytes().splitlines():
            words |= json.loads(line)
    except (OSError, ValueError, TypeError):
        pass  # none, a daemon's link, or cut short by a death in the middle of a line
    return words


def gpus_in(folder: Path) -> tuple[str, ...]:
    """The GPUs that the runner was told to start the job on."""
    named = str(started_in(folder).get("env", {}).get("TRAINQ_GPU_IDS", ""))
    return tuple(named.split(",")) if named else ()


def claim(folder: Path) -> bool:
    """Make the claim; True means that the attempt never started and never will. Raises OSError: nobody can say now."""
    try:
        (folder / "claim").symlink_to(VOID)
    except FileExistsError:
        return (folder / "claim").is_symlink()
    except FileNotFoundError:
        return True  # no folder: nothing was ever handed over
    return True


def verdict(folder: Path) -> Result | Literal["void", "lost"]:
    """Of an attempt whose runner is gone. Raises OSError: nobody can say now."""
    return record_in(folder) or ("void" if claim(folder) or not started_in(folder) else "lost")


def prepare(folder: Path) -> None:
    """A fresh folder for an attempt. Raises OSError (no space, read-only)."""
    try:
        os.mkdir(folder.parent, 0o700)  # noqa: PTH102  (pathlib's way takes five times as long)
    except FileExistsError:
        shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder, 0o700)  # noqa: PTH102
