"""A daemon, a command line and jobs on a pretend machine (machine.py)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from support import Daemon

if TYPE_CHECKING:
    from machine import Machine

    from trainqueue.home import Home

PROGRAMS = Path(__file__).parent / "programs"


def on_fake(machine: Machine, *module: str) -> list[str]:
    """The command that runs a Python module with its words (`trainqueue.cli`, `gpus`) on this machine."""
    return [sys.executable, str(PROGRAMS / "on_fake_nvml.py"), str(machine.folder), *module]


def gpujob(machine: Machine, memory: int, **options: float | Path | str) -> list[str]:
    """The command of a job that has so many bytes on each of its GPUs; see tests/programs/gpujob.py."""
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [sys.executable, str(PROGRAMS / "gpujob.py"), str(machine.folder), str(memory), *words]


class GpuDaemon(Daemon):
    """A real trainqd on this machine."""

    def __init__(self, home: Home, machine: Machine) -> None:
        super().__init__(home)
        self.machine = machine
        self.program = on_fake(machine, "trainqueue.daemon")
