"""The GPU inventory behind a Protocol: what there is, and what one look at it shows."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trainqueue.core.reading import Reading, Sighting

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainqueue.home import Home
    from trainqueue.settings import GpuSettings


HAD_GPUS = "had_gpus"
"""A setting of the journal: measured GPUs have been seen here, and jobs are meant for them."""


class Inventory(Protocol):
    """Where GPUs come from. Used by one thread at a time."""

    def look(self, gpu_ids: Collection[str] | None, *, processes: bool) -> Sighting:
        """These GPUs, or all of them for None or where one of them is not there; raises nothing, but may block."""
        ...

    def notes(self) -> list[str]:
        """After a look: what the owner of the machine should know of it, in sentences."""
        ...

    def close(self) -> None:
        """May be called twice; a later look begins anew."""
        ...


class Unmeasured:
    """GPUs of which nothing can be measured: they are free whenever nobody holds them."""

    def readings(self) -> tuple[Reading, ...]:
        raise NotImplementedError

    def look(self, gpu_ids: Collection[str] | None, *, processes: bool) -> Sighting:
        del gpu_ids, processes
        return Sighting(self.readings())

    def notes(self) -> list[str]:
        return []

    def close(self) -> None:
        pass


class NoGpu(Unmeasured):
    """Without a GPU the queue serves one slot, `cpu:0`."""

    def readings(self) -> tuple[Reading, ...]:
        return (Reading("cpu:0", 0, "CPU (no GPU found)", None, measured=False),)


@dataclass(frozen=True, slots=True)
class FakeGpus(Unmeasured):
    """Pretend GPUs for demos and tests; `size` in bytes."""

    count: int
    size: int

    def readings(self) -> tuple[Reading, ...]:
        return tuple(Reading(f"GPU-fake-{at}", at, "Fake GPU", self.size, measured=False) for at in range(self.count))


def inventory(settings: GpuSettings | None = None, home: Home | None = None, *, expected: bool = False) -> Inventory:
    """By TRAINQ_FAKE_GPUS ("2x24GiB") where set, else the NVIDIA driver's if there is one, else `cpu:0`.

    A driver that does not work is one: jobs must wait for it, and not run without a GPU. So is one that is not there
    where it is `expected`: the home has had GPUs, and its jobs were meant for them (an upgrade of the driver, a daemon
    started with another environment). Raises ValueError for a description that cannot be read.
    """
    described = os.environ.get("TRAINQ_FAKE_GPUS")
    if described:
        return pretended(described)
    if settings is None or home is None or settings.backend == "none":
        return NoGpu()
    from trainqueue.gpus.driver import is_installed  # late: none of this is needed where there is no GPU
    from trainqueue.gpus.nvml import NvmlGpus
    from trainqueue.gpus.owners import Owners

    return NvmlGpus(Owners(home.path, settings)) if expected or is_installed() else NoGpu()


def pretended(described: str) -> FakeGpus:
    """Raises ValueError."""
    match = re.fullmatch(r"0*([1-9]\d{0,2})x0*([1-9]\d{0,5})GiB", described)
    if match is None:
        msg = f"TRAINQ_FAKE_GPUS={described!r}: expected something like 2x24GiB"
        raise ValueError(msg)
    return FakeGpus(int(match[1]), int(match[2]) * 2**30)
