"""All attempts of a job, as `status` shows them: the current one from its state, those before from their folders.

What an attempt's end meant (its cause, that it was lost) is decided by the core, so it is noted in the attempt's folder
when another one follows. The exit record says nearly as much where that note is missing: the daemon died just then.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from trainqueue.core.job import Queued, data_of
from trainqueue.launch import verdict

if TYPE_CHECKING:
    from pathlib import Path

    from trainqueue.core.events import Result
    from trainqueue.core.job import Ended, Job
    from trainqueue.home import Home

MOST = 100
"""The last ones are shown, so many of them."""
NOTE = "over"
FIELDS = ("cause", "exit_code", "signal", "message", "started_at", "ended_at", "run_time")


def note(folder: Path, state: Ended) -> None:
    """Before the attempt's state is forgotten; a history with a gap is better than a queue that stands."""
    with contextlib.suppress(OSError):
        (folder / NOTE).write_text(json.dumps({"state": state.name, **data_of(state)}), encoding="utf-8")


def attempts(job: Job, home: Home) -> list[dict[str, Any]]:
    """The oldest first."""
    first = max(1, job.attempt - MOST + 1)
    found = [shown(job, home, number, before(home.attempt(job.id, number))) for number in range(first, job.attempt)]
    if not isinstance(job.state, Queued):
        found.append(shown(job, home, job.attempt, {"state": job.state.name, **data_of(job.state)}))
    return found


def shown(job: Job, home: Home, number: int, facts: dict[str, Any]) -> dict[str, Any]:
    state = facts.get("state")
    told = {name: facts.get(name) for name in FIELDS} | {"message": facts.get("message") or None}
    if state == "completed":
        told["exit_code"] = 0
    paths = {"log": home.log_name(job.id, number), "log_removed_at": job.log_removed_at(number)}
    return {"attempt": number, "state": state, **told, **paths}


def before(folder: Path) -> dict[str, Any]:
    """Of an attempt that is over: empty where nothing is left of it."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return dict(json.loads((folder / NOTE).read_bytes()))
    with contextlib.suppress(OSError):
        if (record := verdict.record_in(folder)) is not None:
            return recorded(record)
        if verdict.started_in(folder):
            return {"state": "lost"}
    return {}


def recorded(record: Result) -> dict[str, Any]:
    facts = {name: getattr(record, name) for name in ("exit_code", "signal", "message", "started_at", "ended_at")}
    facts["run_time"] = record.run_time
    match record.reason:
        case "cancel" | "preempt":
            return {**facts, "state": "cancelled", "cause": "user"}
        case None if record.exit_code == 0:
            return {**facts, "state": "completed"}
        case None:
            return {**facts, "state": "failed", "cause": "exit" if record.exit_code is not None else "signal"}
        case cause:
            return {**facts, "state": "failed", "cause": cause}
