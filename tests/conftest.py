"""Fixtures for all: a throw-away home, a real daemon, and a look at what a test has left behind."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trainqueue.client import Client
from trainqueue.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACTORS = Path(__file__).resolve().parents[1] / "actors"


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Fails the test when `condition` has not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true after {seconds} s: {condition}"
        threading.Event().wait(0.005)


def children() -> set[int]:
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    return {int(pid) for pid in text.split()}


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


class CrashedActors(logging.Handler):
    """A crashed actor does not fail a test by itself; its log record does."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """No thread, child, descriptor or crashed actor survives a test."""
    handler, threads, kids, files = CrashedActors(), set(threading.enumerate()), children(), open_files()
    logging.getLogger("pykka").addHandler(handler)
    yield
    logging.getLogger("pykka").removeHandler(handler)
    assert not handler.said
    wait_until(lambda: set(threading.enumerate()) <= threads)
    wait_until(lambda: reaped(children() - kids))
    if "leaky" not in request.keywords:
        wait_until(lambda: open_files() <= files)


def reaped(pids: set[int]) -> bool:
    """Whether none of these children lives; the dead ones are reaped on the way."""
    for pid in pids:
        os.waitpid(pid, os.WNOHANG)
    return not pids


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


class Daemon:
    """A real trainqd as a process; `start` may be called again after its death."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None
        self.env: dict[str, str] = {**os.environ, "PYTHONPATH": str(ACTORS), "TRAINQ_CONFIG": ""}

    def start(self) -> None:
        command = [sys.executable, "-m", "trainqueue.daemon", "--home", str(self.home.path)]
        self.process = subprocess.Popen(command, env=self.env, start_new_session=True)
        wait_until(self.answers, 20)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon died with {self.process.returncode}"
        if not self.home.endpoint_file.exists():
            return False
        with Client(self.home, timeout=1) as client:
            try:
                return bool(client.ping()["pid"] == self.process.pid)
            except Exception:  # noqa: BLE001  (a stale endpoint of the one before)
                return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """By SIGTERM; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)


@pytest.fixture
def daemon(home: Home) -> Iterator[Daemon]:
    made = Daemon(home)
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        with Client(home) as client:
            client.shutdown("cancel")
        made.process.wait(30)


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with Client(daemon.home) as made:
        yield made
