"""One session with the NVIDIA driver, through NVIDIA's own binding of NVML.

What the driver refuses becomes one of two errors with a sentence for people: DriverError when nothing can be said of
any GPU, GpuError when it is about one. Everything else that a driver may be too old for, or a GPU cannot tell, is None.
Nothing but init, count, handle, UUID, name and memory is needed.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LIBRARY = "libnvidia-ml.so.1"
TRACES = ("/dev/nvidiactl", "/proc/driver/nvidia/version")
"""One of these is there when the driver is, though its library may not be."""
WITHOUT = 'to run jobs without a GPU, set backend = "none" under [gpus]'
DRIVER = {
    "DRIVER_NOT_LOADED": "the NVIDIA driver is not loaded; load it (sudo modprobe nvidia) or reboot; " + WITHOUT,
    "LIB_RM_VERSION_MISMATCH": (
        "the NVIDIA driver was updated while the old one is still loaded (driver/library version mismatch); "
        "reboot, or reload the driver and restart trainqd"
    ),
    "LIBRARY_NOT_FOUND": (
        f"the library of the NVIDIA driver, {LIBRARY}, cannot be loaded; "
        "install the driver again (a container needs --gpus all); " + WITHOUT
    ),
    "FUNCTION_NOT_FOUND": "the NVIDIA driver is too old for trainq; update it",
    "NO_PERMISSION": "may not use the NVIDIA driver; look at the permissions of /dev/nvidia*",
}
"""What is wrong with the driver, and what to do."""
GPU = {
    "GPU_IS_LOST": "the driver has lost it (GPU is lost); reset it (sudo nvidia-smi --gpu-reset) or reboot",
    "RESET_REQUIRED": "it needs a reset (sudo nvidia-smi --gpu-reset) or a reboot",
    "NO_PERMISSION": "may not use it; look at the permissions of /dev/nvidia*",
    "IN_USE": "it is being reset or is in somebody else's hands (in use)",
}
FOR_ALL = ("UNINITIALIZED", "DRIVER_NOT_LOADED", "LIB_RM_VERSION_MISMATCH")
"""Errors that are never about one GPU alone."""
FOR_ONE = ("GPU_IS_LOST", "RESET_REQUIRED")
"""Errors that say about a GPU, whatever it was asked, that it cannot be used."""
CANNOT = ("NOT_SUPPORTED", "FUNCTION_NOT_FOUND")
WRONG_LISTS = (535, 43), (535, 86)
"""Drivers from the first to the second list processes wrongly."""


class DriverError(Exception):
    """Nothing can be said of any GPU; what is wrong and what to do, in words."""


class GpuError(Exception):
    """Of one GPU: why it cannot be used, in words."""


class ListError(Exception):
    """Who is on a GPU is not known this time; why, in words."""


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes. `reserved` is the driver's own and nobody's to use; None where it is counted as used."""

    total: int | None
    used: int | None
    reserved: int | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A process as the driver lists it; memory in bytes. `graphics`: it draws, and does not compute."""

    pid: int
    memory: int | None
    graphics: bool


def is_installed() -> bool:
    """Whether this machine has an NVIDIA driver, be it broken."""
    if getattr(sys.modules.get("pynvml"), "nvmlLib", None) is not None:
        return True
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return any(Path(trace).exists() for trace in TRACES)
    return True


class Driver:
    """Initialised once and kept: that, and fetching handles, is what costs. Used from one thread."""

    def __init__(self) -> None:
        """Raises DriverError."""
        try:
            import pynvml
        except ImportError as error:
            msg = f"the Python package nvidia-ml-py cannot be used ({error}); install it again"
            raise DriverError(msg) from error
        self.nvml: Any = pynvml  # it has no types
        self.lists = {
            kind: [f"nvmlDeviceGet{kind}RunningProcesses{version}" for version in ("", "_v3", "_v2")]
            for kind in ("Compute", "Graphics")
        }
        """The functions that are left to try; the first one works, once it has worked."""
        self.general(self.nvml.nvmlInit)

    def close(self) -> None:
        with contextlib.suppress(Exception):  # a driver that is broken need not be told
            self.nvml.nvmlShutdown()

    # -- asking

    def general(self, call: Callable[..., Any], *args: object) -> Any:
        """What every driver must be able to say. Raises DriverError."""
        try:
            return call(*args)
        except Exception as error:
            raise self._of_driver(error) from error

    def needed(self, call: Callable[..., Any], *args: object) -> Any:
        """What every GPU must be able to say. Raises GpuError, DriverError."""
        try:
            return call(*args)
        except Exception as error:
            raise self._of_gpu(error) from error

    def optional(self, name: str, *args: object) -> Any:
        """What a GPU may be able to say; None where it does not. Raises GpuError, DriverError when it is lost."""
        try:
            return getattr(self.nvml, name)(*args)
        except Exception as error:
            # NVMLLibraryMismatchError is no NVMLError, and an old binding may lack the function.
            if self.is_one_of(error, (*FOR_ALL, *FOR_ONE)):
                raise self._of_gpu(error) from error
            return None

    def _of_driver(self, error: Exception) -> DriverError:
        known = DRIVER.get(self._name(error))
        return DriverError(
            known or f"the NVIDIA driver does not work ({said(error)}); look at nvidia-smi and dmesg, or reboot"
        )

    def _of_gpu(self, error: Exception) -> DriverError | GpuError:
        if self.is_one_of(error, FOR_ALL):
            return self._of_driver(error)
        known = GPU.get(self._name(error))
        return GpuError(known or f"the driver cannot read it ({said(error)}); look at dmesg, or reboot")

    def is_one_of(self, error: Exception, names: tuple[str, ...]) -> bool:
        return self._name(error) in names

    def _name(self, error: Exception) -> str:
        """Of an NVMLError, as in the tables above; empty for anything else."""
        if not isinstance(error, self.nvml.NVMLError):
            return ""
        known = {*DRIVER, *GPU, *CANNOT, *FOR_ALL, "TIMEOUT", "INSUFFICIENT_SIZE"}
        value = getattr(error, "value", None)
        return next((name for name in known if value == getattr(self.nvml, f"NVML_ERROR_{name}", -1)), "")

    # -- of the machine

    def version(self) -> str:
        return text(self.optional("nvmlSystemGetDriverVersion")) or "unknown"

    def lists_wrongly(self) -> bool:
        parts = tuple(int(part) for part in self.version().split(".")[:2] if part.isdigit())
        return WRONG_LISTS[0] <= parts <= WRONG_LISTS[1]

    def count(self) -> int:
        return int(self.general(self.nvml.nvmlDeviceGetCount))

    # -- of a GPU

    def handle(self, at: int) -> Any:
        return self.needed(self.nvml.nvmlDeviceGetHandleByIndex, at)

    def uuid(self, handle: Any) -> str:
        return text(self.needed(self.nvml.nvmlDeviceGetUUID, handle))

    def name(self, handle: Any) -> str:
        return text(self.optional("nvmlDeviceGetName", handle)) or "NVIDIA GPU"

    def bus(self, handle: Any) -> tuple[int, int, int] | None:
        """Its place on the PCI bus, which orders GPUs."""
        info = self.optional("nvmlDeviceGetPciInfo", handle)
        return None if info is None else (int(info.domain), int(info.bus), int(info.device))

    def leaves(self, handle: Any) -> list[Any] | None:
        """Handles of the MIG devices that it is divided into; None where it is whole. Raises GpuError, DriverError."""
        mode = self.optional("nvmlDeviceGetMigMode", handle)
        if not mode or not mode[0]:
            return None
        most = self.optional("nvmlDeviceGetMaxMigDeviceCount", handle) or 0
        found = [self.optional("nvmlDeviceGetMigDeviceHandleByIndex", handle, at) for at in range(most)]
        return [leaf for leaf in found if leaf is not None]

    def memory(self, handle: Any) -> Memory:
        """None for a GPU that shares the machine's memory and cannot tell. Raises GpuError, DriverError."""
        versioned = getattr(self.nvml, "nvmlMemory_v2", None)
        found = self.optional("nvmlDeviceGetMemoryInfo", handle, versioned) if versioned else None
        if found is not None and found.total:
            return Memory(int(found.total), int(found.used), int(found.reserved))
        try:
            found = self.nvml.nvmlDeviceGetMemoryInfo(handle)
        except Exception as error:
            if self.is_one_of(error, CANNOT):
                return Memory(None, None, None)
            raise self._of_gpu(error) from error
        return Memory(int(found.total), int(found.used), None)

    def utilization(self, handle: Any) -> float | None:
        """In per cent."""
        rates = self.optional("nvmlDeviceGetUtilizationRates", handle)
        return None if rates is None else float(rates.gpu)

    def temperature(self, handle: Any) -> float | None:
        """In degrees Celsius."""
        found = self.optional("nvmlDeviceGetTemperature", handle, 0)
        found = self.optional("nvmlDeviceGetTemperatureV", handle, 0) if found is None else found
        return None if found is None else float(found)

    def power(self, handle: Any) -> float | None:
        """In watts."""
        milliwatts = self.optional("nvmlDeviceGetPowerUsage", handle)
        return None if milliwatts is None else milliwatts / 1000

    # -- processes

    def processes(self, handle: Any) -> list[Listed] | None:
        """Who is on it; None where this driver cannot tell of any GPU like it.

        Raises ListError where it can, and has not; GpuError, DriverError when it is lost.
        """
        try:
            compute, graphics = (self._list(kind, handle) for kind in self.lists)
        except (GpuError, DriverError):
            raise
        except Exception as error:
            msg = f"the driver does not tell who is on it ({said(error)})"
            raise ListError(msg) from error
        return None if compute is None and graphics is None else merged(compute or [], graphics or [])

    def _list(self, kind: str, handle: Any) -> list[Any] | None:
        """None where the driver has no such list."""
        while names := self.lists[kind]:
            try:
                return [*self._twice(getattr(self.nvml, names[0]), handle)]
            except Exception as error:
                if self.is_one_of(error, ("NOT_SUPPORTED",)):
                    return None
                if self.is_one_of(error, (*FOR_ALL, *FOR_ONE)):
                    raise self._of_gpu(error) from error
                if not (self.is_one_of(error, CANNOT) or isinstance(error, AttributeError) or self._mismatch(error)):
                    raise
            del names[0]
        return None

    def _twice(self, call: Callable[..., Any], handle: Any) -> Any:
        """A list that has grown too fast is asked for again."""
        try:
            return call(handle)
        except self.nvml.NVMLError as error:
            if not self.is_one_of(error, ("INSUFFICIENT_SIZE",)):
                raise
            return call(handle)

    def _mismatch(self, error: Exception) -> bool:
        return isinstance(error, getattr(self.nvml, "NVMLLibraryMismatchError", ()))


def merged(compute: list[Any], graphics: list[Any]) -> list[Listed]:
    """Each process once, though it may both compute and draw."""
    found = dict[int, Listed]()
    for listed, draws in ((compute, False), (graphics, True)):
        for one in listed:
            pid, memory = int(one.pid), one.usedGpuMemory
            before = found.get(pid, Listed(pid, None, draws))
            sizes = [int(size) for size in (memory, before.memory) if size is not None]
            found[pid] = Listed(pid, max(sizes, default=None), draws and before.graphics)
    return [*found.values()]


def said(error: Exception) -> str:
    return str(error) or type(error).__name__


def text(value: object) -> str:
    """Old bindings give bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
