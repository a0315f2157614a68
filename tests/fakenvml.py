"""A fake of libnvidia-ml under the real pynvml, to be installed as `pynvml.nvmlLib`.

Its functions take what the C functions take and write through the pointers that they are given. What they say comes
from a Machine (machine.py), which is read anew at each call.
"""

from __future__ import annotations

import ctypes
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pynvml as untyped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from machine import Machine

pynvml: Any = untyped
UNKNOWN_MEMORY = 2**64 - 1
NO_INSTANCE = 2**32 - 1


class RefusedError(Exception):
    """Becomes the code that the function returns."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.code: int = getattr(pynvml, f"NVML_ERROR_{name}")


class FakeNvml:
    """The library. Handles are numbers: that of a UUID, and the generation in which its GPU was initialised."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._known: list[str] = []
        self._ready: dict[str, int] | None = None
        """{uuid: generation} since the last init."""
        self._watched: set[str] = set()
        self._text, self._state = b"", dict[str, Any]()

    def __getattr__(self, name: str) -> Callable[..., int]:
        if not name.startswith("nvml") or name not in FUNCTIONS or name in self.state().get("missing", ()):
            raise AttributeError(name)
        return partial(self._call, name)

    def _call(self, name: str, *args: Any) -> int:
        self.machine.count_call(name)
        while {name, "*"} & {*self.state().get("block", ())}:
            time.sleep(0.01)  # as the C function does: without the interpreter's lock
        try:
            if name in self.state().get("errors", {}):
                raise RefusedError(self.state()["errors"][name])
            FUNCTIONS[name](self, *args)
        except RefusedError as refused:
            return refused.code
        return int(pynvml.NVML_SUCCESS)

    def state(self) -> dict[str, Any]:
        text = (self.machine.folder / "machine.json").read_bytes()
        if text != self._text:
            self._text, self._state = text, json.loads(text)
        return self._state

    # -- the driver

    def init(self, *_flags: Any) -> None:
        if error := self.state().get("init_error"):
            raise RefusedError(error)
        self._ready = {gpu["uuid"]: gpu["generation"] for gpu in self.state()["gpus"]}

    def shutdown(self) -> None:
        self._ready = None

    def driver(self, text: Any, size: Any) -> None:
        put(text, self.state()["driver"], size)

    # -- handles

    def gpus(self) -> list[dict[str, Any]]:
        if self._ready is None:
            raise RefusedError("UNINITIALIZED")
        return list(self.state()["gpus"])

    def give(self, pointer: Any, uuid: str) -> None:
        """A handle of this GPU or leaf."""
        if uuid not in self._known:
            self._known.append(uuid)
        place = ctypes.c_void_p.from_address(ctypes.addressof(target(pointer)))
        place.value = 0x10000 + 16 * self._known.index(uuid)

    def of(self, handle: Any, function: str | None = None) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The GPU, and the leaf if it is one. Refuses what the GPU refuses."""
        value = ctypes.cast(handle, ctypes.c_void_p).value or 0
        at = (value - 0x10000) // 16
        uuid = self._known[at] if 0 <= at < len(self._known) else None
        for gpu in self.gpus():
            leaf = next((leaf for leaf in gpu["mig"] if leaf["uuid"] == uuid), None)
            if leaf or gpu["uuid"] == uuid:
                self.stay(gpu["uuid"], function)
                self.refuse(gpu, function)
                self.refuse(leaf or {}, function)
                return gpu, leaf
        raise RefusedError("GPU_IS_LOST")

    def stay(self, uuid: str, function: str | None) -> None:
        """While the GPU's `block` names it."""
        while any(gpu["uuid"] == uuid and function in gpu.get("block", ()) for gpu in self.state()["gpus"]):
            time.sleep(0.01)

    def refuse(self, gpu: dict[str, Any], function: str | None) -> None:
        if error := gpu.get("error") or gpu.get("errors", {}).get(function):
            raise RefusedError(error)
        generation = gpu.get("generation")
        if self._ready is not None and self._ready.get(gpu.get("uuid", ""), generation) != generation:
            raise RefusedError("GPU_IS_LOST")

    def count(self, pointer: Any) -> None:
        target(pointer).value = len(self.gpus())

    def by_index(self, index: Any, pointer: Any) -> None:
        gpus, at = self.gpus(), number(index)
        if at >= len(gpus):
            raise RefusedError("INVALID_ARGUMENT")
        self.refuse(gpus[at], "nvmlDeviceGetHandleByIndex_v2")
        self.give(pointer, gpus[at]["uuid"])

    def by_uuid(self, uuid: Any, pointer: Any) -> None:
        wanted = (uuid.value if hasattr(uuid, "value") else uuid).decode()
        if wanted not in {gpu["uuid"] for gpu in self.gpus()}:
            raise RefusedError("NOT_FOUND")
        self.give(pointer, wanted)

    def index(self, handle: Any, pointer: Any) -> None:
        gpu, _ = self.of(handle)
        target(pointer).value = self.gpus().index(gpu)

    # -- what a GPU says

    def name(self, handle: Any, text: Any, size: Any) -> None:
        gpu, leaf = self.of(handle, "nvmlDeviceGetName")
        put(text, (leaf or gpu)["name"], size)

    def uuid(self, handle: Any, text: Any, size: Any) -> None:
        gpu, leaf = self.of(handle, "nvmlDeviceGetUUID")
        put(text, (leaf or gpu)["uuid"], size)

    def pci(self, handle: Any, pointer: Any) -> None:
        gpu, _ = self.of(handle, "nvmlDeviceGetPciInfo_v3")
        info = target(pointer)
        info.domain, info.bus, info.device = 0, gpu["bus"], 0
        info.busId = info.busIdLegacy = f"0000:{gpu['bus']:02X}:00.0".encode()

    def memory(self, handle: Any, pointer: Any) -> None:
        """The first version: what is reserved counts as used."""
        self.memory_v2(handle, pointer, "nvmlDeviceGetMemoryInfo")

    def memory_v2(self, handle: Any, pointer: Any, function: str = "nvmlDeviceGetMemoryInfo_v2") -> None:
        gpu, leaf = self.of(handle, function)
        part, info = leaf or gpu, target(pointer)
        reserved, used = part.get("reserved", 0), part.get("base", 0) + self.machine.used(part["uuid"])
        info.total, info.free = part["memory"], max(0, part["memory"] - reserved - used)
        if function.endswith("_v2"):
            info.reserved, info.used = reserved, used
        else:
            info.used = reserved + used

    def utilization(self, handle: Any, pointer: Any) -> None:
        gpu, leaf = self.of(handle, "nvmlDeviceGetUtilizationRates")
        if leaf:
            raise RefusedError("NOT_SUPPORTED")
        target(pointer).gpu = gpu["utilization"]

    def temperature(self, handle: Any, _sensor: Any, pointer: Any) -> None:
        gpu, _ = self.of(handle, "nvmlDeviceGetTemperature")
        target(pointer).value = gpu["temperature"]

    def power(self, handle: Any, pointer: Any) -> None:
        gpu, leaf = self.of(handle, "nvmlDeviceGetPowerUsage")
        if leaf:
            raise RefusedError("NOT_SUPPORTED")
        target(pointer).value = gpu["power"]

    def persistence(self, handle: Any, pointer: Any) -> None:
        gpu, _ = self.of(handle, "nvmlDeviceGetPersistenceMode")
        target(pointer).value = gpu.get("persistence", 1)

    def compute(self, handle: Any, size: Any, array: Any) -> None:
        self.processes("compute", handle, size, array)

    def graphics(self, handle: Any, size: Any, array: Any) -> None:
        self.processes("graphics", handle, size, array)

    def processes(self, kind: str, handle: Any, size: Any, array: Any) -> None:
        gpu, leaf = self.of(handle, f"nvmlDeviceGet{kind.capitalize()}RunningProcesses")
        found = self.machine.listed((leaf or gpu)["uuid"], kind)
        room, target(size).value = target(size).value, len(found)
        if found and (array is None or room < len(found)):
            raise RefusedError("INSUFFICIENT_SIZE")
        for at, entry in enumerate(found):
            array[at].pid = entry["pid"]
            array[at].usedGpuMemory = UNKNOWN_MEMORY if entry["memory"] is None else entry["memory"]
            array[at].gpuInstanceId = array[at].computeInstanceId = NO_INSTANCE

    # -- MIG

    def mig_mode(self, handle: Any, current: Any, pending: Any) -> None:
        gpu, _ = self.of(handle, "nvmlDeviceGetMigMode")
        target(current).value = target(pending).value = int(bool(gpu["mig"]))

    def mig_count(self, handle: Any, pointer: Any) -> None:
        self.of(handle)
        target(pointer).value = 7

    def mig_leaf(self, handle: Any, index: Any, pointer: Any) -> None:
        gpu, _ = self.of(handle)
        found = [leaf for leaf in gpu["mig"] if leaf.get("place", gpu["mig"].index(leaf)) == number(index)]
        if not found:
            raise RefusedError("NOT_FOUND")
        self.give(pointer, found[0]["uuid"])

    def instance(self, handle: Any, pointer: Any) -> None:
        _, leaf = self.of(handle)
        if leaf is None:
            raise RefusedError("INVALID_ARGUMENT")
        target(pointer).value = leaf["instance"]

    def parent(self, handle: Any, pointer: Any) -> None:
        gpu, _ = self.of(handle)
        self.give(pointer, gpu["uuid"])

    def is_leaf(self, handle: Any, pointer: Any) -> None:
        target(pointer).value = int(self.of(handle)[1] is not None)

    # -- events

    def event_types(self, handle: Any, pointer: Any) -> None:
        self.of(handle)
        target(pointer).value = pynvml.nvmlEventTypeXidCriticalError

    def make_events(self, pointer: Any) -> None:
        ctypes.c_void_p.from_address(ctypes.addressof(target(pointer))).value = 0x9000
        self._watched.clear()

    def free_events(self, _events: Any) -> None:
        self._watched.clear()

    def register(self, handle: Any, _types: Any, _events: Any) -> None:
        self._watched.add(self.of(handle)[0]["uuid"])

    def wait(self, _events: Any, pointer: Any, milliseconds: Any) -> None:
        del milliseconds  # a look never waits
        path, event = self._next_event()
        if path is None:
            raise RefusedError("TIMEOUT")
        path.unlink()
        data = target(pointer)
        handle = pynvml.c_nvmlDevice_t()
        self.give(ctypes.byref(handle), event["uuid"])
        data.device, data.eventData = handle, event["xid"]
        data.eventType = pynvml.nvmlEventTypeXidCriticalError
        data.gpuInstanceId = data.computeInstanceId = event.get("instance", NO_INSTANCE)

    def _next_event(self) -> tuple[Path | None, dict[str, Any]]:
        for path in sorted((self.machine.folder / "xids").glob("*.json")):
            event = json.loads(path.read_bytes())
            if event["uuid"] in self._watched:
                return path, event
        return None, {}


def target(pointer: Any) -> Any:
    """What `byref(x)` or `pointer(x)` points to."""
    return pointer._obj if hasattr(pointer, "_obj") else pointer.contents


def number(value: Any) -> int:
    return int(value.value if hasattr(value, "value") else value)


def put(text: Any, value: str, size: Any) -> None:
    data = value.encode()
    if len(data) >= number(size):
        raise RefusedError("INSUFFICIENT_SIZE")
    text.value = data


FUNCTIONS: dict[str, Callable[..., None]] = {
    "nvmlInitWithFlags": FakeNvml.init,
    "nvmlInit_v2": FakeNvml.init,
    "nvmlShutdown": FakeNvml.shutdown,
    "nvmlSystemGetDriverVersion": FakeNvml.driver,
    "nvmlSystemGetNVMLVersion": FakeNvml.driver,
    "nvmlDeviceGetCount_v2": FakeNvml.count,
    "nvmlDeviceGetHandleByIndex_v2": FakeNvml.by_index,
    "nvmlDeviceGetHandleByUUID": FakeNvml.by_uuid,
    "nvmlDeviceGetIndex": FakeNvml.index,
    "nvmlDeviceGetName": FakeNvml.name,
    "nvmlDeviceGetUUID": FakeNvml.uuid,
    "nvmlDeviceGetPciInfo_v3": FakeNvml.pci,
    "nvmlDeviceGetMemoryInfo": FakeNvml.memory,
    "nvmlDeviceGetMemoryInfo_v2": FakeNvml.memory_v2,
    "nvmlDeviceGetUtilizationRates": FakeNvml.utilization,
    "nvmlDeviceGetTemperature": FakeNvml.temperature,
    "nvmlDeviceGetPowerUsage": FakeNvml.power,
    "nvmlDeviceGetPersistenceMode": FakeNvml.persistence,
    "nvmlDeviceGetComputeRunningProcesses_v3": FakeNvml.compute,
    "nvmlDeviceGetComputeRunningProcesses_v2": FakeNvml.compute,
    "nvmlDeviceGetGraphicsRunningProcesses_v3": FakeNvml.graphics,
    "nvmlDeviceGetGraphicsRunningProcesses_v2": FakeNvml.graphics,
    "nvmlDeviceGetMigMode": FakeNvml.mig_mode,
    "nvmlDeviceGetMaxMigDeviceCount": FakeNvml.mig_count,
    "nvmlDeviceGetMigDeviceHandleByIndex": FakeNvml.mig_leaf,
    "nvmlDeviceGetGpuInstanceId": FakeNvml.instance,
    "nvmlDeviceGetComputeInstanceId": FakeNvml.instance,
    "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": FakeNvml.parent,
    "nvmlDeviceIsMigDeviceHandle": FakeNvml.is_leaf,
    "nvmlDeviceGetSupportedEventTypes": FakeNvml.event_types,
    "nvmlEventSetCreate": FakeNvml.make_events,
    "nvmlEventSetFree": FakeNvml.free_events,
    "nvmlDeviceRegisterEvents": FakeNvml.register,
    "nvmlEventSetWait_v2": FakeNvml.wait,
}


def install(machine: Machine) -> FakeNvml:
    """From now on this process sees that machine's GPUs."""
    made = FakeNvml(machine)
    pynvml.nvmlLib = made
    pynvml._nvmlGetFunctionPointer_cache.clear()
    return made


def uninstall() -> None:
    pynvml.nvmlLib = None
    pynvml._nvmlGetFunctionPointer_cache.clear()
