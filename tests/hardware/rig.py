"""A real GPU, a real daemon that serves it, and the table of what was measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainqueue.client import Client
    from trainqueue.jobinfo import Job

PROGRAMS = Path(__file__).resolve().parents[1] / "programs"
GIB, MIB = 2**30, 2**20
LONG = 180.0
"""Seconds for what involves a start of CUDA or PyTorch."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `beside` is what it is to be compared with."""

    measure: str
    value: str
    beside: str = ""

    def __str__(self) -> str:
        return f"{self.measure:<52}{self.value:>14}  {self.beside}".rstrip()


@dataclass(frozen=True, slots=True)
class Device:
    """The GPU that is tested; sizes in bytes."""

    index: int
    uuid: str
    name: str
    total: int
    driver: str

    def __str__(self) -> str:
        return f"GPU {self.index}: {self.name}, {self.total / GIB:.1f} GiB, driver {self.driver}"


def program(name: str, *words: object) -> list[str]:
    """The command of one of tests/programs."""
    return [sys.executable, str(PROGRAMS / name), *map(str, words)]


def hold(**options: object) -> list[str]:
    """The command of cuda_hold.py: `hold(mib=64, seconds=2)`; True stands for an option without a value."""
    words = [[f"--{name}"] if value is True else [f"--{name}", value] for name, value in options.items()]
    return program("cuda_hold.py", *(word for pair in words for word in pair))


def find_device() -> Device:
    """An idle GPU, or the one that TRAINQ_HARDWARE_GPU names by index or UUID. Skips the test where there is none."""
    listed = subprocess.run(program("list_gpus.py"), capture_output=True, text=True, timeout=120, check=False)
    if listed.returncode:
        pytest.skip(f"needs a real NVIDIA GPU: {listed.stderr.strip() or 'the driver has none'}")
    named = os.environ.get("TRAINQ_HARDWARE_GPU")
    found = [gpu for gpu in json.loads(listed.stdout) if not gpu["divided"]]
    usable = [gpu for gpu in found if (named in {str(gpu["index"]), gpu["uuid"]} if named else not gpu["users"])]
    if not usable:
        pytest.skip(f"needs an NVIDIA GPU that nobody uses (or TRAINQ_HARDWARE_GPU); here are {len(found)}")
    best = min(usable, key=lambda gpu: gpu["used"])
    device = Device(**{name: best[name] for name in ("index", "uuid", "name", "total", "driver")})
    asked = subprocess.run(hold(count=True), capture_output=True, text=True, timeout=120, check=False, env=on(device))
    if asked.returncode or int(asked.stdout) != 1:
        pytest.skip(f"needs CUDA on {device}: {(asked.stderr or asked.stdout).strip().splitlines()[-1]}")
    return device


def on(device: Device) -> dict[str, str]:
    """An environment in which CUDA shows this GPU alone."""
    return {**os.environ, "CUDA_VISIBLE_DEVICES": device.uuid, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


@dataclass(frozen=True, slots=True)
class Rig:
    """A daemon's client; all jobs go to the GPU that is tested."""

    client: Client
    device: Device

    def spec(self, command: Sequence[str], **fields: Any) -> dict[str, Any]:
        usual = {"command": [*command], "cwd": "/", "env": {**os.environ}, "gpu_from": [self.device.uuid]}
        return usual | fields

    def submit(self, command: Sequence[str], **fields: Any) -> int:
        return int(self.client.submit([self.spec(command, **fields)])[0]["id"])

    def submit_all(self, commands: Sequence[Sequence[str]], **fields: Any) -> list[int]:
        """In one message, so that the next one always waits already."""
        return [int(made["id"]) for made in self.client.submit([self.spec(one, **fields) for one in commands])]

    def until(self, job: int, condition: Callable[[Job], object], seconds: float = LONG) -> Job:
        """Until it is so; fails the test when the job has ended otherwise."""
        seen = [self.client.status(job)]

        def is_so() -> bool:
            seen[0] = self.client.status(job)
            assert condition(seen[0]) or not seen[0].ended, f"{seen[0]}\n{self.output(job)}"
            return bool(condition(seen[0]))

        wait_until(is_so, seconds)
        return seen[0]

    def end(self, job: int, seconds: float = LONG) -> Job:
        """Its end, whatever that is."""
        return self.client.wait([job], seconds)[0]

    def completed(self, job: int, seconds: float = LONG) -> Job:
        ended = self.end(job, seconds)
        assert ended.state == "completed", f"{ended}\n{self.output(job)}"
        return ended

    def output(self, job: int) -> str:
        return bytes(self.client.log(job)["data"]).decode(errors="replace")

    def gpu(self) -> dict[str, Any]:
        """What the daemon says of the GPU."""
        (found,) = [gpu for gpu in self.client.call("gpus")["gpus"] if gpu["id"] == self.device.uuid]
        return dict(found)


def stamp(path: Path) -> dict[str, float]:
    """What cuda_hold.py wrote."""
    return dict(json.loads(path.read_text(encoding="ascii")))
