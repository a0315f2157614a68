"""An own look at the NVIDIA driver, for `doctor`: in a child, since a sick driver blocks inside its calls."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Any

import msgspec

from trainqueue.core.reading import Sighting  # noqa: TC001  (msgspec looks it up at run time)
from trainqueue.gpus import inventory

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainqueue.home import Home
    from trainqueue.settings import GpuSettings


class Glance(msgspec.Struct, frozen=True):
    """`notes` are what the owner of the machine should know; `asleep` the GPUs whose persistence mode is off."""

    sighting: Sighting
    installed: bool = True
    driver: str | None = None
    notes: list[str] = []
    asleep: list[int] = []


def glance(home: Home, settings: GpuSettings, patience: float) -> Glance | None:
    """None when the driver has not answered within so many seconds. Not for a process with threads."""
    data = from_a_child(lambda: msgspec.json.encode(look(home, settings)), patience)
    return msgspec.json.decode(data, type=Glance) if data else None


def look(home: Home, settings: GpuSettings) -> Glance:
    from trainqueue.gpus.driver import Driver, DriverError, is_installed

    gpus = inventory(settings, home)
    sighting = gpus.look(None, processes=True)
    notes, installed = gpus.notes(), is_installed()
    gpus.close()
    if not installed or sighting.trouble is not None:
        return Glance(sighting, installed=installed, notes=notes)
    try:
        driver = Driver()
        asleep = [at for at in range(driver.count()) if is_asleep(driver, at)]
    except DriverError:
        return Glance(sighting, notes=notes)  # lost in this moment; another look will tell
    return Glance(sighting, driver=driver.version(), notes=notes, asleep=asleep)


def is_asleep(driver: Any, at: int) -> bool:
    """Whether the driver puts this GPU down while nobody uses it. Raises DriverError."""
    from trainqueue.gpus.driver import GpuError

    try:
        return bool(driver.optional("nvmlDeviceGetPersistenceMode", driver.handle(at)) == 0)
    except GpuError:
        return False


def from_a_child(act: Callable[[], bytes], patience: float) -> bytes | None:
    """What a forked child makes of it, nothing if it fails; None when it takes longer.

    It is killed then, and not waited for: who hangs in the driver does not die either.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        answer(theirs, act)
    os.close(theirs)
    data, deadline = bytearray(), time.monotonic() + patience
    try:
        while select.select([ours], [], [], max(0.0, deadline - time.monotonic()))[0]:
            part = os.read(ours, 65536)
            if not part:
                return bytes(data)
            data += part
    finally:
        os.close(ours)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0 if data else os.WNOHANG)
    return None


def answer(fd: int, act: Callable[[], bytes]) -> Any:
    """In the child; it never returns."""
    try:
        logging.disable()
        data = memoryview(act())
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os._exit(0)
