"""Errors that the driver reports of GPUs (Xids), taken at each look without waiting for them."""

from __future__ import annotations

import contextlib
import ctypes
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trainqueue.gpus.driver import Driver
    from trainqueue.gpus.survey import Device

logger = logging.getLogger(__name__)
MOST = 256
"""Taken at one look; a GPU that reports without end must not keep us."""
WHOLE = 2**32 - 1
"""The MIG instance of an error that is about all of the GPU."""


class Events:
    """Of these GPUs; where the driver has none to give, there are none."""

    def __init__(self, driver: Driver, devices: Iterable[Device]) -> None:
        self.nvml = driver.nvml
        self._gpus: dict[int | None, str] = {}
        """Their handles' addresses: one that is lost does not tell its UUID any more."""
        self._set = None
        try:
            self._set = self.nvml.nvmlEventSetCreate()
        except Exception as error:  # noqa: BLE001  (they are a help, and no need)
            logger.debug("no events of GPUs: %s", error)
            return
        for at, gpu in {device.at: device.gpu for device in devices if device.trouble is None}.items():
            with contextlib.suppress(Exception):  # this GPU has none
                self._register(at, gpu)

    def _register(self, at: int, gpu: str) -> None:
        """Of the GPU itself: MIG devices have no events."""
        handle = self.nvml.nvmlDeviceGetHandleByIndex(at)
        self.nvml.nvmlDeviceRegisterEvents(handle, self.nvml.nvmlEventTypeXidCriticalError, self._set)
        self._gpus[address(handle)] = gpu

    def drain(self) -> Iterator[tuple[str, int | None, int]]:
        """(UUID of the GPU, MIG instance if it is about one, Xid) since the last time."""
        if self._set is None:
            return
        for _ in range(MOST):
            try:
                data = self.nvml.nvmlEventSetWait(self._set, 0)
            except Exception:  # noqa: BLE001  (mostly: there is no more; a GPU that is lost says so in its reading)
                return
            instance, gpu = getattr(data, "gpuInstanceId", WHOLE), self._gpus.get(address(data.device))
            if gpu is not None and int(data.eventType) & self.nvml.nvmlEventTypeXidCriticalError:
                yield gpu, None if instance == WHOLE else int(instance), int(data.eventData)

    def close(self) -> None:
        if self._set is not None:
            with contextlib.suppress(Exception):
                self.nvml.nvmlEventSetFree(self._set)
        self._set = None


def address(handle: Any) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value
