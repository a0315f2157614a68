"""Of runners that wait for their attempt: arbiter and armourer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from trainqueue.launch.local import Runner


@dataclass(frozen=True, slots=True)
class Arm:
    """Arbiter to armourer: make the attempt's folder and have a runner ready; `handed` is what the runner is told."""

    job: int
    attempt: int
    folder: Path
    handed: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Warm:
    """Arbiter to armourer: have idle runners."""


@dataclass(frozen=True, slots=True)
class Spare:
    """Arbiter to armourer: this runner has done its attempt and may be armed again."""

    runner: Runner


@dataclass(frozen=True, slots=True)
class Trim:
    """Armourer to itself: let runners go that a row of short jobs has left."""


@dataclass(frozen=True, slots=True)
class Armed:
    """Armourer to arbiter: the runner waits for its go."""

    job: int
    attempt: int
    runner: Runner


@dataclass(frozen=True, slots=True)
class ArmFailed:
    """Armourer to arbiter: the machine refuses (no space, no processes)."""

    job: int
    attempt: int
    reason: str


ToArmourer = Arm | Spare | Trim | Warm
