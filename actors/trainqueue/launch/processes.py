"""Processes as /proc knows them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """As /proc/PID/stat has it; `ticks` is its start in clock ticks since boot, which tells it from all others."""

    pid: int
    state: str
    """A letter, as in ps."""
    parent: int
    session: int
    ticks: int


def look(pid: int) -> Process | None:
    """None when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return Process(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def pids() -> set[int]:
    return {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}  # noqa: PTH208
