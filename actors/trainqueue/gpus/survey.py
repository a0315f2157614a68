"""Which GPUs there are: their handles, names and order, and MIG devices in the place of a GPU that is divided."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trainqueue.gpus.driver import GpuError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainqueue.gpus.driver import Driver

Bus = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU or a MIG device; `at` is the GPU's index for the driver, `gpu` its UUID, `instance` the MIG device's."""

    uuid: str
    at: int
    gpu: str
    handle: Any
    name: str = "NVIDIA GPU"
    index: int = 0
    """In PCI order; MIG devices are counted like GPUs."""
    bus: Bus | None = None
    memory_total: int | None = None
    instance: int | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """All GPUs; `nameless` are those that the driver counts and has never named, by its index: what it says instead."""

    count: int = 0
    devices: tuple[Device, ...] = ()
    nameless: dict[int, str] = field(default_factory=dict[int, str])

    @property
    def is_troubled(self) -> bool:
        return bool(self.nameless) or any(device.trouble for device in self.devices)

    def troubled(self, uuid: str, trouble: str) -> Survey:
        """The same, but for this device."""
        parts = (replace(one, trouble=trouble) if one.uuid == uuid else one for one in self.devices)
        return replace(self, devices=tuple(parts))


def survey(driver: Driver, before: Survey) -> Survey:
    """A GPU that does not answer is still what it was `before`. Raises DriverError."""
    count, nameless = driver.count(), dict[int, str]()
    groups = list[tuple[Device, ...]]()
    for at in range(count):
        try:
            groups.append(meet(driver, at, before))
        except GpuError as error:
            groups.append(missed(before, at, str(error)))
            if not groups[-1]:
                nameless[at] = str(error)
                groups[-1] = (Device("", at, "", None),)
    there = {device.uuid for group in groups for device in group if device.trouble is None}
    known = [one for one in in_order(groups) if one.uuid and (one.trouble is None or one.uuid not in there)]
    return Survey(count, tuple(known), nameless)


def meet(driver: Driver, at: int, before: Survey) -> tuple[Device, ...]:
    """The GPU with this index, or the MIG devices in its place. Raises GpuError while it has no name, DriverError."""
    handle = driver.handle(at)
    uuid = driver.uuid(handle)
    whole = Device(uuid, at, uuid, handle)
    try:
        whole = replace(whole, name=driver.name(handle), bus=driver.bus(handle))
        leaves = driver.leaves(handle)
        if leaves is None:
            return (replace(whole, memory_total=driver.memory(handle).total),)
        return parts_of(driver, whole, leaves, before)
    except GpuError as error:
        return missed(before, at, str(error)) or (replace(whole, trouble=str(error)),)


def parts_of(driver: Driver, whole: Device, leaves: Sequence[Any], before: Survey) -> tuple[Device, ...]:
    """One that does not even say its name is still there, if it was `before`. Raises DriverError."""
    known = {one.uuid: one for one in before.devices if one.at == whole.at and one.uuid != whole.uuid}
    found, trouble = dict[str, Device](), None
    for handle in leaves:
        try:
            leaf = leaf_of(driver, whole, handle, known)
            found[leaf.uuid] = leaf
        except GpuError as error:
            trouble = str(error)
    if trouble is not None:
        found |= {uuid: replace(one, trouble=trouble) for uuid, one in known.items() if uuid not in found}
    return tuple(found.values())


def leaf_of(driver: Driver, whole: Device, handle: Any, known: Mapping[str, Device]) -> Device:
    """One that does not answer is in trouble by itself. Raises GpuError while it has no name, DriverError."""
    leaf = replace(whole, uuid=driver.uuid(handle), handle=handle)
    try:
        return replace(
            leaf,
            name=driver.name(handle),
            memory_total=driver.memory(handle).total,
            instance=driver.optional("nvmlDeviceGetGpuInstanceId", handle),
        )
    except GpuError as error:
        return replace(known.get(leaf.uuid, leaf), handle=handle, trouble=str(error))


def missed(before: Survey, at: int, trouble: str) -> tuple[Device, ...]:
    return tuple(replace(one, trouble=trouble) for one in before.devices if one.at == at)


def in_order(groups: Sequence[tuple[Device, ...]]) -> list[Device]:
    """As on the PCI bus, which is the driver's order anyway; in the latter where it does not tell."""
    devices = [device for group in groups for device in group]
    if all(device.bus for device in devices):
        devices.sort(key=lambda device: device.bus or (0, 0, 0))
    return [replace(device, index=index) for index, device in enumerate(devices)]
