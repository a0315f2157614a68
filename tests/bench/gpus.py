"""What a look at eight GPUs with a process on each costs us: the driver's own time is not in it, it is a fake one."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.shared import Row, show, timed
from fakenvml import install
from machine import GIB, Machine

from trainqueue.gpus.nvml import NvmlGpus
from trainqueue.gpus.owners import Owners
from trainqueue.settings import GpuSettings

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT, TIMES = 8, 200


class Still(Machine):
    """One that is not read from its folder, and of which nothing changes."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.folder)
        self.state = machine.read()
        self.on = {(uuid, kind): machine.listed(uuid, kind) for uuid in machine.uuids() for kind in KINDS}

    def count_call(self, function: str) -> None:
        del function

    def listed(self, uuid: str, kind: str) -> list[dict[str, Any]]:
        return self.on[uuid, kind]

    def used(self, uuid: str) -> int:
        del uuid
        return GIB


KINDS = ("compute", "graphics")


def median(act: Callable[[], object]) -> float:
    """Milliseconds."""
    return 1000 * statistics.median(timed(act) for _ in range(TIMES))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="trainq-bench-") as folder:
        machine = Machine.build(Path(folder) / "machine", COUNT)
        sleepers = [subprocess.Popen(["sleep", "600"]) for _ in range(COUNT)]
        for uuid, sleeper in zip(machine.uuids(), sleepers, strict=True):
            machine.process(uuid, GIB, pid=sleeper.pid)
        still = Still(machine)
        install(still).state = lambda: still.state  # type: ignore[method-assign]
        try:
            measure(Path(folder) / "home", machine.uuids())
        finally:
            for sleeper in sleepers:
                sleeper.kill()
                sleeper.wait()


def measure(home: Path, uuids: list[str]) -> None:
    gpus = NvmlGpus(Owners(home, GpuSettings()))
    first = 1000 * timed(lambda: gpus.look(None, processes=True))
    handle = gpus._survey.devices[0].handle
    call = 1000 * statistics.median(timed(lambda: gpus._driver and gpus._driver.memory(handle)) for _ in range(TIMES))
    rows = [
        Row("first look, with the driver's init", first, "ms"),
        Row(f"look at {COUNT} GPUs", median(lambda: gpus.look(None, processes=False)), "ms", 5.0, COUNT * call),
        Row(f"look at {COUNT} GPUs and their processes", median(lambda: gpus.look(None, processes=True)), "ms", 10.0),
        Row("look at one GPU and its processes", median(lambda: gpus.look(uuids[:1], processes=True)), "ms", 2.0),
    ]
    show("gpus", f"{COUNT} times one call", rows, "on a real driver each process list may cost 2 to 5 ms more")


if __name__ == "__main__":
    main()
