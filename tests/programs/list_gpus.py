"""The NVIDIA GPUs of this machine, as a line of JSON; ends with a sentence and code 1 where there is none."""

from __future__ import annotations

import json
import sys
from typing import Any

import pynvml

nvml: Any = pynvml


def text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def is_divided(handle: Any) -> bool:
    """Into MIG devices, which CUDA would show instead."""
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0])
    except nvml.NVMLError:
        return False


def described(index: int) -> dict[str, Any]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        "index": index,
        "uuid": text(nvml.nvmlDeviceGetUUID(handle)),
        "name": text(nvml.nvmlDeviceGetName(handle)),
        "total": int(memory.total),
        "used": int(memory.used),
        "divided": is_divided(handle),
        "users": [process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)],
        "driver": text(nvml.nvmlSystemGetDriverVersion()),
    }


def main() -> None:
    try:
        nvml.nvmlInit()
        found = [described(index) for index in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError as error:
        sys.exit(str(error))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
