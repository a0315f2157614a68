"""Of the GPUs: arbiter and GPU watch, and the times that the arbiter sets itself for looks at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainqueue.core.reading import Sighting


@dataclass(frozen=True, slots=True)
class Sighted:
    """GPU watch to arbiter: what it has seen; asked for by LookNow, or by itself every few seconds."""

    sighting: Sighting


@dataclass(frozen=True, slots=True)
class LookNow:
    """Arbiter to GPU watch: these GPUs, with their processes, at once. All of them where none is named.

    `number` is the core's look that it is for, None for none.
    """

    gpu_ids: tuple[str, ...]
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Glance:
    """GPU watch to itself: the next look is due."""


@dataclass(frozen=True, slots=True)
class WatchSilent:
    """Arbiter to itself: the watch has not been heard of for too long; a sick driver blocks inside its calls."""


@dataclass(frozen=True, slots=True)
class LookDue:
    """Arbiter to itself: the time of an `fx.Look` with a delay has come."""

    gpu_ids: tuple[str, ...]
    number: int


@dataclass(frozen=True, slots=True)
class ProofTimeOver:
    """Arbiter to itself: the time of an `fx.ProveWithin` is over."""

    gpu: str
    proof: int


@dataclass(frozen=True, slots=True)
class SettleTimeOver:
    """Arbiter to itself: the time of an `fx.SettleAfter` is over."""

    job: int
    attempt: int


GpuNews = Sighted | WatchSilent | LookDue | ProofTimeOver | SettleTimeOver
ToGpuWatch = LookNow | Glance
