"""What became of an attempt, from what lies in its folder.

`exit` is the runner's record. `claim` is made with O_EXCL by the runner before it starts the job, or by a
daemon that wants to be sure that it never will: whoever makes it owns the attempt.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from typing import TYPE_CHECKING, Any, Literal

from trainqueue.core.events import Result

if TYPE_CHECKING:
    from pathlib import Path

    from trainqueue.core.spec import JobSpec


VOID = b'{"void": true}'
"""What a daemon writes into the claim; a runner's is empty, or says whom it has started."""


def result_of(record: dict[str, Any]) -> Result:
    return Result(
        exit_code=record.get("exit_code"),
        signal=record.get("signal"),
        reason=record.get("reason"),
        message=str(record.get("message") or ""),
        started_at=record.get("started_at"),
        ended_at=float(record["ended_at"]),
    )


def record_in(folder: Path) -> Result | None:
    """The exit record, or None while there is none (it appears whole, by rename)."""
    try:
        return result_of(json.loads((folder / "exit").read_bytes()))
    except (OSError, ValueError, KeyError):
        return None


def started_in(folder: Path) -> dict[str, Any]:
    """What the runner wrote into its claim: `pid`, `at`, `env`; empty when it has not started the job."""
    try:
        return dict(json.loads((folder / "claim").read_bytes()).get("started", {}))
    except (OSError, ValueError, AttributeError):
        return {}


def claim(folder: Path) -> bool:
    """Make the claim; True means that the attempt never started and never will.

    It appears with its content, so that a daemon that dies right after it is understood by the next one.
    """
    ours = folder / f"claim.{os.getpid()}.{threading.get_native_id()}"
    try:
        ours.write_bytes(VOID)
        os.link(ours, folder / "claim")
    except FileExistsError:
        return (folder / "claim").read_bytes() == VOID
    except FileNotFoundError:
        return True  # no folder: nothing was ever handed over
    finally:
        ours.unlink(missing_ok=True)
    return True


def verdict(folder: Path) -> Result | Literal["void", "lost"]:
    """Of an attempt whose runner is gone."""
    return record_in(folder) or ("void" if claim(folder) else "lost")


def prepare(folder: Path, spec: JobSpec, handed: dict[str, Any]) -> None:
    """A fresh folder for an attempt, with its spec.json. Raises OSError (no space, read-only)."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    fields = {"argv": spec.command, "cwd": spec.cwd, "warn": spec.warn, "time_limit": spec.time_limit}
    text = json.dumps({**fields, **handed}).encode()
    fd = os.open(folder / "spec.json", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(text)
