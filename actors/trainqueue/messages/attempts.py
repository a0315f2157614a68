"""Of an attempt that runs: what its trainer tells the arbiter, is told, and tells itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from trainqueue.core.events import Result


@dataclass(frozen=True, slots=True)
class Started:
    job: int
    attempt: int
    pid: int | None
    at: float
    began: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing of the attempt lives any more."""

    job: int
    attempt: int
    result: Result


@dataclass(frozen=True, slots=True)
class Gone:
    """The runner has exited, or is `free` for another attempt, with the record written.

    Where it has exited without having told of an end, `verdict` says what became of the attempt; `refused` is why the
    machine did not let it start the job, None where it has died without a word.
    """

    job: int
    attempt: int
    verdict: Literal["void", "lost"] | None
    free: bool = False
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class TrainerFailed:
    """A trainer has crashed; its runner goes on and must be watched by another one."""

    job: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Progress:
    """A job has said or shown how far it is."""

    job: int
    attempt: int
    progress: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pulse:
    """Trainer to arbiter: whether the job has logged, reported or computed anything since the last one."""

    job: int
    attempt: int
    beats: bool


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """Arbiter to trainer. `stalled`: the record says that this is why."""

    force: bool
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class TellOrders:
    """Arbiter to trainer: the attempt's orders have grown."""


@dataclass(frozen=True, slots=True)
class FeelPulse:
    """Arbiter to trainer: from now on say every so many seconds whether the job does anything; `log` is its path."""

    every: float
    log: str


@dataclass(frozen=True, slots=True)
class LookAtPulse:
    """Trainer to itself: it is time for that."""


@dataclass(frozen=True, slots=True)
class LookAtProgress:
    """Trainer to itself, some time after the last look."""


@dataclass(frozen=True, slots=True)
class LookAtLog:
    """Trainer to itself: read on in the job's log."""


@dataclass(frozen=True, slots=True)
class KeepSeries:
    """Trainer to itself: write down the series that have changed some seconds ago."""


@dataclass(frozen=True, slots=True)
class Decide:
    """Trainer to itself: look again what became of the attempt."""


FromTrainer = Started | Ended | Gone | TrainerFailed | Progress | Pulse
ToTrainer = StopAttempt | TellOrders | LookAtProgress | LookAtLog | KeepSeries | Decide | FeelPulse | LookAtPulse
