"""A real trainqd on a machine with pretend GPUs, and what tests of it say again and again."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakegpus import GpuDaemon, gpujob
from machine import GIB, Machine
from support import wait_until

from trainqueue.client import Client

if TYPE_CHECKING:
    from collections.abc import Generator

    from trainqueue.home import Home
    from trainqueue.jobinfo import Job


SILENCE = "trainqueue.sights:SILENCE"
SOONER = {
    "trainqueue.gpuwatch:GLANCE": 0.3,
    "trainqueue.gpuwatch:PROCESSES": 0.6,
    "trainqueue.gpus.nvml:RETRY": 1.0,
    "trainqueue.sights:FIRST": 1.0,
    SILENCE: 1.5,
}
"""Waits of the daemon in seconds, shorter than they are for users."""


LISTING = "nvmlDeviceGetComputeRunningProcesses_v3"


class Lab:
    """`settings` is the section [gpus] of the daemon's settings, in TOML."""

    def __init__(self, home: Home, machine: Machine, settings: str = "") -> None:
        self.home, self.machine = home, machine
        self.folder: Path = machine.folder.parent
        self.daemon = GpuDaemon(home, machine)
        config = self.folder / "trainq.toml"
        config.write_text(f"[gpus]\n{settings}\n", encoding="utf-8")
        self.daemon.env["TRAINQ_CONFIG"] = str(config)
        self.sooner({})
        self.client = Client(home)
        self._gates = 0

    def sooner(self, waits: dict[str, float]) -> None:
        """For daemons that start from now on."""
        self.daemon.env["SOONER"] = " ".join(f"{name}={seconds}" for name, seconds in (SOONER | waits).items())

    # -- jobs

    def gate(self) -> Path:
        """A file that is not there; what it is made for goes on when it is."""
        self._gates += 1
        return self.folder / f"gate-{self._gates}"

    def keeper(self) -> Path:
        """A file that is there; whoever ends gives its memory back when it is gone."""
        made = self.gate()
        made.touch()
        return made

    def submit(self, memory: int = GIB, *, until: Path | None = None, kept: Path | None = None, **fields: Any) -> int:
        """A job with so much memory on each of its GPUs, that ends at once or when `until` is there.

        Its memory comes back when it has ended and `kept` is gone.
        """
        files = {name: path for name, path in (("until", until), ("kept", kept)) if path is not None}
        command = gpujob(self.machine, memory, **files)
        spec = {"command": command, "cwd": str(self.folder), "grace": 0.5, **fields}
        return int(self.client.submit([spec])[0]["id"])

    def status(self, job: int) -> Job:
        return self.client.status(job)

    def until(self, job: int, state: str, seconds: float = 15.0) -> Job:
        wait_until(lambda: self.status(job).state == state, seconds)
        return self.status(job)

    def until_why(self, job: int, code: str, *words: str, seconds: float = 15.0) -> str:
        """Until it waits for that, and the sentence has these words."""
        heard = [""]

        def says() -> bool:
            found = self.status(job)
            heard[0] = found.why or ""
            return found.why_code == code and all(word in heard[0] for word in words)

        wait_until(says, seconds)
        return heard[0]

    def until_on_gpu(self, job: int, gpu: int = 0) -> None:
        """Until the driver lists its process."""
        self.until(job, "running")
        wait_until(lambda: any(entry["pid"] == self.status(job).pid for entry in self.listed(gpu)))

    def until_looked_at(self, job: int, times: int) -> None:
        """Until the daemon has listed the processes of its GPU so many times more, while it runs."""
        before = self.machine.calls(LISTING)
        wait_until(lambda: self.machine.calls(LISTING) >= before + 2 * times)  # one call for how many, one for which
        assert self.status(job).state == "running"

    def listed(self, gpu: int) -> list[dict[str, Any]]:
        return self.machine.listed(self.machine.uuids()[gpu], "compute")

    # -- GPUs

    def gpu(self, index: int = 0) -> dict[str, Any]:
        found = self.client.call("gpus")["gpus"]
        return dict(next(gpu for gpu in found if gpu["index"] == index))

    def uuid(self, index: int = 0) -> str:
        return self.machine.uuids()[index]

    def gpu_events(self) -> list[dict[str, Any]]:
        """What has been told of the GPUs' health and use."""
        return [event for event in self.client.events(0)["events"] if event["type"] == "gpu"]


@contextlib.contextmanager
def lab(
    home: Home, *, gpus: int = 1, settings: str = "", started: bool = True, silence: float = SOONER[SILENCE]
) -> Generator[Lab, None, None]:
    """At the end all its jobs are cancelled. `silence`: seconds until a driver that says nothing is called sick."""
    machine = Machine.build(home.path.parent / "machine", gpus)
    made = Lab(home, machine, settings)
    made.sooner({SILENCE: silence})
    try:
        if started:
            made.daemon.start()
        yield made
    finally:
        process = made.daemon.process
        if process is not None and process.poll() is None:
            with contextlib.suppress(Exception):
                made.client.shutdown("cancel")
            try:
                process.wait(15)
            except Exception:
                process.kill()
                process.wait()
                raise
        made.client.close()
        for gpu in machine.uuids():
            (Path("/run/lock") / f"trainq-{gpu}.lock").unlink(missing_ok=True)
