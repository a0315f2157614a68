"""Fixtures for all: a throw-away home, a real daemon, and a look at what a test has left behind."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pykka
import pytest
from support import Daemon, wait_until

from trainqueue.client import Client
from trainqueue.home import Home

if TYPE_CHECKING:
    from collections.abc import Iterator

# Else each of the hundreds of processes that tests start compiles the package anew: a third of a daemon's start.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """For the soaks; bin/soak hands its options on. For the tests on real GPUs."""
    soak = parser.getgroup("soak")
    soak.addoption("--kills", type=int, default=500, help="kill -9 so often")
    soak.addoption("--jobs", type=int, default=3000, help="with so many jobs")
    soak.addoption("--minutes", type=float, default=30.0, help="and give up after so long")
    soak.addoption("--seed", type=int, default=None, help="of the random choices; else a new one each time")
    parser.getgroup("hardware").addoption("--hardware-table", metavar="PATH", help="keep what was measured here")


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
    if "expected_crash" not in request.fixturenames:
        assert not handler.said
    try:
        wait_until(lambda: set(threading.enumerate()) <= threads)
    finally:
        pykka.ActorRegistry.stop_all(block=False)  # else one failed test would keep pytest from ending
    wait_until(lambda: reaped(children() - kids))
    if "leaky" not in request.keywords:
        wait_until(lambda: open_files() <= files)


def reaped(pids: set[int]) -> bool:
    """Whether none of these children lives; the dead ones are reaped on the way."""
    for pid in pids:
        os.waitpid(pid, os.WNOHANG)
    return not pids


@pytest.fixture
def expected_crash() -> None:
    """For tests in which an actor is meant to crash."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


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
