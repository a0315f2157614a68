"""What one look at one GPU has shown: facts, no judgement. What follows from them the core decides (board.py)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Process:
    """A process on a GPU, as the driver lists it.

    `memory` in bytes, None where the driver does not say. `job` is the job of ours whose tree it is of, None for a
    foreign one. `user` and `command` are None where nobody knows them (it is in another pid namespace, or has ended).
    `ignored`: the settings say that it is in nobody's way.
    """

    pid: int
    memory: int | None
    job: int | None = None
    user: str | None = None
    command: str | None = None
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at one GPU: bytes, `utilization` in per cent, `temperature` in degrees Celsius, `power` in watts.

    What the driver does not tell is None. `processes` is None where they were not looked at this time, and always for a
    GPU that is not `measured`: a pretend one and `cpu:0` are free whenever nobody holds them.
    """

    id: str
    index: int
    name: str
    memory_total: int | None
    measured: bool = True
    memory_used: int | None = None
    memory_reserved: int = 0
    """The driver's own, neither counted as used nor to be had by jobs."""
    utilization: float | None = None
    temperature: float | None = None
    power: float | None = None
    processes: tuple[Process, ...] | None = None
    trouble: str | None = None
    """Why it cannot be used, in words: it is lost, it does not answer."""
    xids: tuple[int, ...] = ()
    """Errors that the driver has reported of it since the last look."""
    part_of: str | None = None
    """The id of the GPU that was divided (MIG), of which it is a part."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look at the machine. `whole`: these are all its GPUs, so that one that is missing has gone.

    `trouble` is what is wrong with the driver, in words with what to do; there are no readings then. `answers` are the
    numbers of the looks that had been asked for before it began; none where the watch looks of its own accord.
    """

    readings: tuple[Reading, ...] = ()
    whole: bool = True
    trouble: str | None = None
    answers: tuple[int, ...] = ()
