"""How long the driver takes to give memory back, without any queue: `memory_back.py UUID FRACTION`.

Starts cuda_hold.py with so much of the GPU's memory, ends it (once in order, once by SIGKILL), and looks from the
moment that the process is gone. Prints a line of JSON: seconds until the memory is back, and until the list of
processes is without it; each null where that took more than half a minute.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pynvml

if TYPE_CHECKING:
    from collections.abc import Callable

nvml: Any = pynvml
HOLD = Path(__file__).with_name("cuda_hold.py")
NEAR = 64 * 2**20
"""Bytes more than before that count as back."""
LONGEST = 30.0


def used(handle: Any) -> int:
    return int(nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2).used)


def is_listed(handle: Any, pid: int) -> bool:
    return any(process.pid == pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle))


def since(began: float, condition: Callable[[], bool]) -> float | None:
    """Seconds until it is true, by looking all the time."""
    while not condition():
        if time.monotonic() - began > LONGEST:
            return None
    return time.monotonic() - began


def measured(handle: Any, uuid: str, fraction: str, *, kill: bool) -> dict[str, float | None]:
    before = used(handle)
    with TemporaryDirectory() as folder:
        gate = Path(folder, "gate")
        command = [sys.executable, str(HOLD), "--fraction", fraction, "--until", str(gate)]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": uuid}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline().startswith(b"holding"), "it could not take the memory"
            if kill:
                holder.kill()
            else:
                gate.touch()
            holder.wait()
            gone = time.monotonic()
            back = since(gone, lambda: used(handle) <= before + NEAR)
            unlisted = since(gone, lambda: not is_listed(handle, holder.pid))
    return {"memory": back, "list": unlisted}


def main() -> None:
    uuid, fraction = sys.argv[1:]
    nvml.nvmlInit()
    handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
    print(json.dumps({way: measured(handle, uuid, fraction, kill=way == "killed") for way in ("ended", "killed")}))


if __name__ == "__main__":
    main()
