"""The GPU inventory behind a Protocol: what there is, and what the wire shows of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Protocol


class Inventory(Protocol):
    """Where GPUs come from."""

    def gpu_ids(self) -> list[str]: ...

    def sample(self) -> list[dict[str, Any]]:
        """One contract Gpu per GPU, without `jobs`; sizes in bytes, `utilization` in per cent."""
        ...

    def visible(self, gpu_ids: tuple[str, ...]) -> str:
        """The value of CUDA_VISIBLE_DEVICES for a job on these GPUs."""
        ...


def _gpu(gpu_id: str, index: int, name: str, memory: int | None) -> dict[str, Any]:
    unknown = dict.fromkeys(("memory_used", "utilization", "temperature", "power", "why"))
    fixed: dict[str, Any] = {"id": gpu_id, "index": index, "name": name, "memory_total": memory}
    return {**fixed, **unknown, "foreign": [], "healthy": True}


class NoGpu:
    """Without a GPU the queue serves one slot, `cpu:0`."""

    def gpu_ids(self) -> list[str]:
        return ["cpu:0"]

    def sample(self) -> list[dict[str, Any]]:
        return [_gpu("cpu:0", 0, "CPU (no GPU found)", None)]

    def visible(self, gpu_ids: tuple[str, ...]) -> str:
        del gpu_ids
        return ""


@dataclass(frozen=True, slots=True)
class FakeGpus:
    """Pretend GPUs for demos and tests; `size` in bytes."""

    count: int
    size: int

    def gpu_ids(self) -> list[str]:
        return [f"GPU-fake-{index}" for index in range(self.count)]

    def sample(self) -> list[dict[str, Any]]:
        return [_gpu(gpu, at, "Fake GPU", self.size) for at, gpu in enumerate(self.gpu_ids())]

    def visible(self, gpu_ids: tuple[str, ...]) -> str:
        return ",".join(gpu_ids)


def inventory() -> Inventory:
    """By TRAINQ_FAKE_GPUS ("2x24GiB") where set, else `cpu:0`. Real GPUs come with their own issue.

    Raises ValueError for a description that cannot be read.
    """
    described = os.environ.get("TRAINQ_FAKE_GPUS")
    if not described:
        return NoGpu()
    match = re.fullmatch(r"(\d{1,3})x(\d{1,6})GiB", described)
    if match is None:
        msg = f"TRAINQ_FAKE_GPUS={described!r}: expected something like 2x24GiB"
        raise ValueError(msg)
    return FakeGpus(int(match[1]), int(match[2]) * 2**30)
