"""What is left in the home and on the machine when a weekend is over."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainqueue import cells

if TYPE_CHECKING:
    from collections.abc import Iterator


def found(folder: Path, listed: list[dict[str, Any]]) -> list[str]:
    """Sentences; `listed`: the jobs whose records are kept."""
    home = folder / "home"
    return [*tracebacks(home / "trainqd.log"), *tracebacks(folder / "daemon.err"), *snapshots(home, listed), *groups()]


def tracebacks(log: Path) -> Iterator[str]:
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    for place in re.finditer(r"Traceback \(most recent call last\)", text):
        yield f"{log.name}: {text[max(0, place.start() - 300) : place.start() + 2000]}"


def snapshots(home: Path, listed: list[dict[str, Any]]) -> Iterator[str]:
    """Each belongs to a record; one that is new may have lost its submitter, and is looked at when an hour is over."""
    kept = {Path(job["snapshot"]).relative_to(home / "snapshots").parts[0] for job in listed if job["snapshot"]}
    there = {path.name for path in (home / "snapshots").iterdir()} if (home / "snapshots").exists() else set[str]()
    yield from (f"snapshot {name} of a job that is there is gone" for name in sorted(kept - there))


def groups() -> Iterator[str]:
    base = cells.examine().base
    if base is not None:
        yield from (f"a cgroup is left: {path}" for path in base.glob(f"{cells.CELL}*-*") if path.is_dir())
