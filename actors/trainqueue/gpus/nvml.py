"""The GPUs of this machine as the NVIDIA driver shows them. Used by one thread: a sick driver blocks inside its calls.

The driver is initialised once, and its handles are kept. They are fetched anew when something is wrong with a GPU, when
the number of GPUs has changed, and now and then, because somebody may have divided a GPU (MIG) or put it together.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from trainqueue.core.reading import Process, Reading, Sighting
from trainqueue.gpus.driver import Driver, DriverError, GpuError, ListError
from trainqueue.gpus.events import Events
from trainqueue.gpus.survey import Survey, survey

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainqueue.gpus.owners import Owners
    from trainqueue.gpus.survey import Device

logger = logging.getLogger(__name__)
RETRY = 10.0
"""Seconds from one try to the next with a driver that does not work, or one that has lost a GPU."""
SURVEY, SOON = 60.0, 1.0
"""Seconds from one survey of all GPUs to the next, and while something is wrong with one of them."""


class NvmlGpus:
    """An Inventory of measured GPUs."""

    def __init__(self, owners: Owners) -> None:
        self.owners = owners
        self._driver: Driver | None = None
        self._events: Events | None = None
        self._survey = Survey()
        self._initialised = self._surveyed = self._gave_up = 0.0
        self._trouble: str | None = None
        self._warned = False
        self._xids = defaultdict[str, list[int]](list)
        self._listed: dict[str, set[int]] = {}
        self._unlisted: set[int] = set()
        """Indices of the GPUs whose processes this driver cannot list."""
        self._unread: dict[int, str] = {}
        """Those whose processes it has not listed this time, and why."""

    def look(self, gpu_ids: Collection[str] | None, *, processes: bool) -> Sighting:
        """All GPUs where none are named, or when one of those named is not there; raises nothing."""
        if self._trouble is not None and time.monotonic() - self._gave_up < RETRY:
            return Sighting(trouble=self._trouble)
        try:
            driver = self._ready()
            devices = self._survey.devices
            wanted = [device for device in devices if gpu_ids is None or device.uuid in gpu_ids]
            whole = gpu_ids is None or len(wanted) < len({*gpu_ids})
            self._hear()
            readings = [self._read(driver, one, processes=processes) for one in (devices if whole else wanted)]
        except DriverError as error:
            return self._give_up(str(error))
        if processes:
            self.owners.keep(set[int]().union(*self._listed.values()))
        return Sighting(tuple(readings), whole=whole)

    def close(self) -> None:
        if self._events is not None:
            self._events.close()
        if self._driver is not None:
            self._driver.close()
        self._driver = self._events = None

    def notes(self) -> list[str]:
        """After a look: what the owner of this machine should know of it, in sentences."""
        found = [f"GPU {at} cannot be used: {words}" for at, words in sorted(self._survey.nameless.items())]
        found += [f"GPU {index} is not given to jobs: {words}" for index, words in sorted(self._unread.items())]
        if self._driver is not None and self._driver.lists_wrongly():
            found.append(wrong_lists(self._driver))
        if self.owners.unseen and not self.owners.seen:
            found.append(
                "none of the processes that the NVIDIA driver lists can be seen from here: they are in another pid "
                "namespace, so all count as somebody else's; start this container with --pid=host"
            )
        if self._unlisted:
            which = ", ".join(map(str, sorted(self._unlisted)))
            found.append(f"the NVIDIA driver cannot list processes (GPU {which}): programs of others are not noticed")
        return found

    # -- the driver

    def _ready(self) -> Driver:
        """With a fresh enough survey. Raises DriverError."""
        now = time.monotonic()
        if self._driver is None:
            return self._begin()
        if self._survey.is_troubled and now - self._initialised >= RETRY:
            self._hear()
            self.close()  # a GPU that was lost comes back only for those that begin anew
            return self._begin()
        if self._is_stale(self._driver, now):
            self._look_around(self._driver)
        return self._driver

    def _begin(self) -> Driver:
        self._initialised = time.monotonic()
        self._driver = driver = Driver()
        if driver.lists_wrongly() and not self._warned:
            self._warned = True
            logger.warning("%s", wrong_lists(driver))
        self._look_around(driver)
        self._trouble = None
        return driver

    def _is_stale(self, driver: Driver, now: float) -> bool:
        age = SOON if self._survey.is_troubled else SURVEY
        return now - self._surveyed >= age or driver.count() != self._survey.count

    def _look_around(self, driver: Driver) -> None:
        """Raises DriverError."""
        self._surveyed = time.monotonic()
        self._hear()
        before, self._survey = self._survey, survey(driver, self._survey)
        if not self._survey.devices:
            raise DriverError(nothing(self._survey))
        if self._events is None or usable(before) != usable(self._survey):
            if self._events is not None:
                self._events.close()
            self._events = Events(driver, self._survey.devices)

    def _give_up(self, trouble: str) -> Sighting:
        self._trouble, self._gave_up = trouble, time.monotonic()
        self.close()
        return Sighting(trouble=trouble)

    def _hear(self) -> None:
        """What the driver has reported is kept until somebody looks at that GPU."""
        for gpu, instance, xid in self._events.drain() if self._events is not None else ():
            for device in self._survey.devices:
                if device.gpu == gpu and (instance is None or device.instance in {None, instance}):
                    self._xids[device.uuid].append(xid)

    # -- one GPU

    def _read(self, driver: Driver, device: Device, *, processes: bool) -> Reading:
        """Raises DriverError."""
        xids = tuple(self._xids.pop(device.uuid, ()))
        bare = Reading(device.uuid, device.index, device.name, device.memory_total, trouble=device.trouble, xids=xids)
        if device.gpu != device.uuid:
            bare = replace(bare, part_of=device.gpu)
        if device.trouble is not None:
            return bare
        try:
            reading = measure(driver, device, bare)
            return replace(reading, processes=self._processes(driver, device)) if processes else reading
        except GpuError as error:
            self._survey = self._survey.troubled(device.uuid, str(error))
            return replace(bare, trouble=str(error))

    def _processes(self, driver: Driver, device: Device) -> tuple[Process, ...] | None:
        """Raises GpuError, DriverError."""
        try:
            listed = driver.processes(device.handle)
        except ListError as error:
            if self._unread.get(device.index) != str(error):
                logger.warning("GPU %d: %s", device.index, error)
            self._unread[device.index] = str(error)
            return None
        self._unread.pop(device.index, None)
        (self._unlisted.add if listed is None else self._unlisted.discard)(device.index)
        self._listed[device.uuid] = {one.pid for one in listed or ()}
        return tuple(map(self.owners.process, listed or ()))


def measure(driver: Driver, device: Device, reading: Reading) -> Reading:
    """What there is besides processes. Raises GpuError, DriverError."""
    memory = driver.memory(device.handle)
    return replace(
        reading,
        memory_total=memory.total,
        memory_used=memory.used,
        memory_reserved=memory.reserved or 0,
        utilization=driver.utilization(device.handle),
        temperature=driver.temperature(device.handle),
        power=driver.power(device.handle),
    )


def nothing(found: Survey) -> str:
    """Why there is no GPU at all."""
    if found.nameless:
        at, words = next(iter(found.nameless.items()))
        return f"the NVIDIA driver finds no GPU that works: GPU {at}: {words}"
    if found.count:
        return "every GPU is divided (MIG) into no part; make some with nvidia-smi mig -cgi"
    return "the NVIDIA driver works and finds no GPU; look at nvidia-smi and dmesg"


def usable(found: Survey) -> set[str]:
    return {device.uuid for device in found.devices if device.trouble is None}


def wrong_lists(driver: Driver) -> str:
    return (
        f"the NVIDIA driver {driver.version()} lists processes wrongly (535.43 to 535.86 do), so that a GPU may look "
        "used or free when it is not; update the driver"
    )
