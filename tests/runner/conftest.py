"""Real runners without a daemon: the test plays the daemon, and answers for every process it caused."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import wait_until

from trainqueue.launch import local, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.core.events import Result

PROGRAMS = Path(__file__).resolve().parent.parent / "programs"
PYTHON = (sys.executable, "-I", "-S")
PR_SET_CHILD_SUBREAPER = 36
DEADLINE = 10.0


def children_of(pid: int) -> set[int]:
    lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return {int(child) for text in lists for child in text.split()}


class Run:
    """One attempt in the hands of a real runner."""

    children_of = staticmethod(children_of)

    def __init__(self, runner: local.Runner, folder: Path, log: Path, cwd: Path, spec: dict[str, Any]) -> None:
        self.runner = runner
        self.spec = spec
        self.folder = folder
        self.log = log
        self.cwd = cwd
        self.heard: list[dict[str, Any]] = []

    def hear(self, name: str) -> Any:
        """What the runner says under this name; packets before it are kept in `heard`."""
        end = time.monotonic() + DEADLINE
        while True:
            packet = self.receive(end)
            assert packet, f"the runner left without a word of {name!r}; it said {self.heard}"
            self.heard.append(packet)
            if name in packet:
                return packet[name]

    def receive(self, end: float) -> dict[str, Any]:
        assert self.runner.sock is not None
        poll = select.poll()
        poll.register(self.runner.sock, select.POLLIN)
        assert poll.poll(max(0.0, end - time.monotonic()) * 1000), "the runner says nothing"
        return self.runner.receive() or {}

    def ended(self) -> dict[str, Any]:
        """The record: told, written down as told, and nothing of the job or its runner lives."""
        told: dict[str, Any] = self.hear("ended")
        if told["pid"]:
            assert not self.alive(told["pid"])
        assert self.exit_of_runner() == 0
        assert json.loads((self.folder / "exit").read_bytes()) == told
        return told

    def exit_of_runner(self) -> int:
        """Wait until the runner has exited by itself; how it did."""
        assert self.runner.gone(DEADLINE), "the runner does not exit"
        return os.waitstatus_to_exitcode(os.waitpid(self.runner.pid, 0)[1])

    def hang_up(self) -> None:
        """What a daemon's death looks like from the runner's side."""
        assert self.runner.sock is not None
        self.runner.sock.close()
        self.runner.sock = None

    def record(self) -> Result | None:
        return verdict.record_in(self.folder)

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def says(self, word: str) -> list[str]:
        """Wait for a whole line of the log that begins with `word`; the rest of the line."""
        found: list[list[str]] = []

        def look() -> bool:
            whole = self.text().rpartition("\n")[0].splitlines()
            found.extend(line.split()[1:] for line in whole if line.split()[:1] == [word])
            return bool(found)

        wait_until(look)
        return found[0]

    def job(self) -> int:
        return int(self.hear("started")["pid"])

    @staticmethod
    def alive(pid: int) -> bool:
        """Zombies count: somebody has forgotten them."""
        return Path(f"/proc/{pid}").exists()

    @staticmethod
    def status_of(pid: int) -> dict[str, str]:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def spawn() -> local.Runner:
    """A child of the test (not of a nursery), whose wait status can be looked at."""
    pid, ours = local.launch()
    return local.Runner(pid, os.pidfd_open(pid), local.start_ticks(pid), ours)


class Launcher:
    """Prepares attempts and starts runners, as the daemon does."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cwd = home / "work"
        self.cwd.mkdir()
        self.runs: list[Run] = []

    def program(self, name: str, *args: object) -> list[str]:
        return [*PYTHON, str(PROGRAMS / f"{name}.py"), *map(str, args)]

    def prepare(self, *argv: str, **fields: Any) -> Run:
        """A runner that is ready, and a folder that it has not been told of."""
        number = len(self.runs) + 1
        folder, log = self.home / f"attempt-{number}", self.home / f"log-{number}"
        spec = {"argv": argv, "cwd": str(self.cwd), "log": str(log), "grace": 5.0, "env": {"PATH": os.defpath}}
        verdict.prepare(folder)
        run = Run(spawn(), folder, log, Path(fields.get("cwd", self.cwd)), {**spec, **fields})
        self.runs.append(run)
        return run

    def arm(self, *argv: str, **fields: Any) -> Run:
        run = self.prepare(*argv, **fields)
        run.runner.arm(run.folder, run.spec)
        assert run.hear("armed") is True
        return run

    def start(self, *argv: str, **fields: Any) -> Run:
        run = self.arm(*argv, **fields)
        run.runner.go({})
        return run

    def close(self) -> None:
        for run in self.runs:
            if not run.runner.gone():
                run.runner.signal(signal.SIGQUIT)
            if run.runner.sock is not None:
                run.hang_up()
            if not run.runner.gone(2):
                run.runner.signal(signal.SIGKILL)
                run.runner.gone(DEADLINE)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(run.runner.pid, os.WNOHANG)
            run.runner.close()


def adopt_orphans(yes: int) -> None:
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, yes, 0, 0, 0) == 0


def left_over(before: set[int]) -> set[int]:
    """Our children that are new. What a runner leaves behind becomes ours, whatever it did to hide."""
    for child in children_of(os.getpid()) - before:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, os.WNOHANG)
    return children_of(os.getpid()) - before


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    before = children_of(os.getpid())
    adopt_orphans(1)
    made = Launcher(tmp_path)
    try:
        yield made
        living = [run.runner.pid for run in made.runs if not run.runner.gone()]
    finally:
        made.close()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not left_over(before), 1.0)  # one that a runner killed while it rehearsed was starting
        left = left_over(before)
        for child in left:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        adopt_orphans(0)
    assert not living, "runners live on after the test"
    assert not left, "processes live on after their runner"
