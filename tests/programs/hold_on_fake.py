"""cuda_hold.py on a pretend machine: hold_on_fake.py FOLDER [its options]. Only CUDA itself is pretended."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[0:1] = [str(TESTS.parent / "actors"), str(TESTS), str(TESTS / "programs")]

from machine import Machine  # noqa: E402  (the path is set above)

cuda_hold: Any = import_module("cuda_hold")

FOLDER = Path(sys.argv.pop(1))
CONTEXT = 300 * 2**20
"""Bytes that CUDA takes for itself."""


class PretendCuda:
    """The first GPU that this process is shown, on the pretend machine."""

    def __init__(self) -> None:
        self.machine = Machine(FOLDER)
        self.visible = [uuid for uuid in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if uuid]

    def count(self) -> int:
        return len(self.visible)

    def open(self) -> None:
        self.hold(CONTEXT)

    def memory(self) -> tuple[int, int]:
        gpu = next(gpu for gpu in self.machine.read()["gpus"] if gpu["uuid"] == self.visible[0])
        total = int(gpu["memory"])
        return total - int(gpu["base"]) - int(gpu["reserved"]) - self.machine.used(self.visible[0]), total

    def take(self, count: int) -> None:
        if count > self.memory()[0]:
            msg = "CUDA_ERROR_OUT_OF_MEMORY: out of memory (cuMemAlloc_v2)"
            raise RuntimeError(msg)
        self.hold(CONTEXT + count)

    def hold(self, count: int) -> None:
        self.machine.process(self.visible[0], count, pid=os.getpid(), alive=True)


if __name__ == "__main__":
    cuda_hold.Cuda = PretendCuda
    cuda_hold.main()
