"""What calls to the NVIDIA driver cost on this machine, in microseconds, as a line of JSON: `nvml_costs.py [UUID]`.

{name: [median, highest]}: of single calls about one GPU, through NVIDIA's own binding; and of a whole look at all GPUs
as trainq's watch does it, without and with process lists.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, LOOKS = 200, 50


def timed(act: Callable[[], object], rounds: int) -> list[float]:
    """Median and highest of so many, the first one left out, in microseconds."""
    act()
    took = list[float]()
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        took.append(1e6 * (time.perf_counter() - began))
    return [statistics.median(took), max(took)]


def calls(nvml: Any, handle: Any) -> dict[str, Callable[[], object]]:
    return {
        "memory": lambda: nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2),
        "utilization": lambda: nvml.nvmlDeviceGetUtilizationRates(handle),
        "temperature": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
        "power": lambda: nvml.nvmlDeviceGetPowerUsage(handle),
        "compute processes": lambda: nvml.nvmlDeviceGetComputeRunningProcesses(handle),
        "graphics processes": lambda: nvml.nvmlDeviceGetGraphicsRunningProcesses(handle),
    }


def single(uuid: str | None) -> dict[str, list[float]]:
    """What this GPU cannot tell is left out."""
    import pynvml

    nvml: Any = pynvml
    began = time.perf_counter()
    nvml.nvmlInit()
    found = {"init": [1e6 * (time.perf_counter() - began)] * 2}
    handle = nvml.nvmlDeviceGetHandleByUUID(uuid) if uuid else nvml.nvmlDeviceGetHandleByIndex(0)
    for name, call in calls(nvml, handle).items():
        try:
            found[name] = timed(call, ROUNDS)
        except nvml.NVMLError as error:
            sys.stderr.write(f"{name}: {error}\n")
    nvml.nvmlShutdown()
    return found


def whole() -> dict[str, list[float]]:
    """Looks at all GPUs by trainq's own inventory."""
    from trainqueue.gpus import inventory
    from trainqueue.home import Home
    from trainqueue.settings import GpuSettings

    make: Any = inventory
    gpus = make(GpuSettings(), Home.find(None))
    try:
        return {
            "look": timed(lambda: gpus.look(None, processes=False), LOOKS),
            "look with processes": timed(lambda: gpus.look(None, processes=True), LOOKS),
        }
    finally:
        gpus.close()


if __name__ == "__main__":
    print(json.dumps(single(sys.argv[1] if sys.argv[1:] else None) | whole()))
