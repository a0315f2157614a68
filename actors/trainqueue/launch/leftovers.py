"""What a runner that was killed could not clean up: nothing of it may live when its GPU is given on.

Its nursery sees to that, and nothing can hide from it. Where the nursery was killed too, those of the job's processes
are found that still have a mark of it: its environment, its session, its log as their output, or a parent with such a
mark. A process that got rid of all four escapes this; nothing escapes a living runner or nursery.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainqueue.launch import verdict
from trainqueue.launch.processes import Process, look, pids

if TYPE_CHECKING:
    from collections.abc import Iterable


def sweep(folder: Path, told: dict[str, Any] | None = None) -> int:
    """One round over what is left of the attempt in `folder`: how many were found, 0 when nothing of it lives.

    `told` is what the runner has said itself, for the case that somebody has removed its claim.
    """
    words = (told or {}) | verdict.started_in(folder)
    if awaits_burial(words.get("runner")):
        return 1
    session = words.get("pid") if "ticks" in words and not is_reused(words) else None
    living, marked, seen = list[Process](), set[int](), {os.getpid()}
    while born := pids() - seen:  # also while we looked, to a parent that had died before we came to it
        seen |= born
        fresh = [process for pid in born if (process := look(pid)) is not None and process.state not in "ZX"]
        living += fresh
        marked |= {process.pid for process in fresh if _is_marked(process, folder, session)}
    found = with_descendants(marked, living)
    for pid in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


def awaits_burial(runner: dict[str, Any] | None) -> bool:
    """Whether a dead runner's nursery is still at it: it buries the runner last."""
    if runner is None:
        return False
    found = look(runner["pid"])
    return found is not None and (found.ticks, found.parent) == (runner["ticks"], runner["nursery"])


def is_reused(words: dict[str, Any]) -> bool:
    """Whether the job's session has ended, and its number is that of a stranger by now."""
    found = look(words["pid"]) if "pid" in words and "ticks" in words else None
    return found is not None and found.ticks != words["ticks"]


def with_descendants(pids: set[int], living: Iterable[Process]) -> set[int]:
    """Once its parent is dead, a child without a mark of its own could not be found any more."""
    found: set[int] = set()
    while more := pids - found:
        found |= more
        pids = {process.pid for process in living if process.parent in more}
    return found


def _is_marked(process: Process, folder: Path, session: int | None) -> bool:
    job = os.fsencode(folder.parent)
    here = f"/proc/{process.pid}"
    with contextlib.suppress(OSError):  # it has died, or is somebody else's
        if process.session == session or b"TRAINQ_JOB_DIR=" + job + b"\0" in Path(f"{here}/environ").read_bytes():
            return True
        outputs = [os.fsencode(os.readlink(f"{here}/fd/{fd}")) for fd in (1, 2)]  # noqa: PTH115
        return any(output.startswith(job + b"/output") for output in outputs)
    return False
