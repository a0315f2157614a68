"""What the benchmarks share: a daemon in a throw-away home, requests on a bare socket, and the table.

A row's target is a bound; its baseline is what the machine can do anyway, measured in the same run. On a busy
machine look at the ratio of the two.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import zmq

from trainqueue.client import Client
from trainqueue.errors import TrainqError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

ACTORS = Path(__file__).resolve().parents[2] / "actors"
WIDTH = 46
"""Of the first column."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; with `more`, more is better and the target is a floor."""

    measure: str
    value: float
    unit: str
    target: float | None = None
    baseline: float | None = None
    more: bool = False

    def __str__(self) -> str:
        bound = "" if self.target is None else f"{'>=' if self.more else '<='} {figure(self.target)}"
        ratio = f"{self.value / self.baseline:.2f}" if self.baseline else ""
        cells = (f"{figure(self.value)} {self.unit}", bound, figure(self.baseline), ratio)
        return f"{self.measure:<{WIDTH}}" + "".join(f"{cell:>14}" for cell in cells) + f"  {self.verdict}".rstrip()

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        met = self.value >= self.target if self.more else self.value <= self.target
        return "met" if met else "MISSED"


def figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def show(title: str, baseline: str, rows: Sequence[Row], *notes: str) -> None:
    """Print the table of one benchmark; `baseline` says what its fourth column holds."""
    print(f"{title:<{WIDTH}}" + "".join(f"{head:>14}" for head in ("value", "target", "baseline", "ratio")))
    for row in rows:
        print(row)
    for note in (f"baseline: {baseline}", *notes):
        print(f"    {note}")
    print(flush=True)


def p90(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=10)[-1]


def timed(act: Callable[[], object]) -> float:
    """Seconds that it took."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Raises TimeoutError when `condition` has not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


# -- the daemon


@dataclass(frozen=True, slots=True)
class Server:
    """A trainqd of our own with one slot, and a client of it."""

    home: Path
    pid: int
    client: Client
    env: dict[str, str]


def environment(home: Path) -> dict[str, str]:
    """Without the user's settings and GPUs, so that there is one slot; with compiled modules, as where installed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRAINQ_", "PYTHON"))}
    ours = {"PYTHONPATH": str(ACTORS), "PYTHONPYCACHEPREFIX": str(home.parent / "compiled")}
    return {**kept, **ours, "TRAINQ_HOME": str(home), "XDG_CONFIG_HOME": str(home)}


@contextlib.contextmanager
def serving(**settings: str) -> Generator[Server, None, None]:
    """A daemon in a home that goes away with it; its jobs are cancelled at the end. `settings` are environment."""
    with tempfile.TemporaryDirectory(prefix="trainq-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder, "home")
        command = [sys.executable, "-m", "trainqueue.daemon", "--home", str(home), "--foreground"]
        env = environment(home) | settings
        with Path(folder, "words").open("wb") as words:
            process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=words, stderr=words)
        try:
            until(lambda: process.poll() is not None or (home / "endpoint").exists())
            with Client(str(home), timeout=60) as client:
                yield Server(home, process.pid, client, env)
        finally:
            end(process, home)


def end(process: subprocess.Popen[bytes], home: Path) -> None:
    """Ask it to cancel its jobs and go; kill it when it does not."""
    try:
        with Client(str(home), timeout=5) as client:
            client.shutdown("cancel")
        process.wait(20)
    except (TrainqError, subprocess.TimeoutExpired):
        process.kill()
        process.wait()


def spec(*command: str, **fields: Any) -> dict[str, Any]:
    return {"command": [*command], "cwd": "/", **fields}


# -- the wire


@contextlib.contextmanager
def connected(endpoint: str) -> Generator[zmq.Socket[bytes], None, None]:
    """A bare REQ socket."""
    context: zmq.Context[Any] = zmq.Context()
    socket: zmq.Socket[bytes] = context.socket(zmq.REQ)
    socket.setsockopt(zmq.RCVTIMEO, 60_000)
    socket.connect(endpoint)
    try:
        yield socket
    finally:
        context.destroy(0)


def endpoint_of(server: Server) -> str:
    return (server.home / "endpoint").read_text(encoding="utf-8").strip()


def request(op: str, **fields: object) -> bytes:
    return msgspec.msgpack.encode({"op": op, **fields})


def exchange(socket: zmq.Socket[bytes], message: bytes) -> Any:
    """One request, its result. Raises RuntimeError when it was refused."""
    socket.send(message)
    reply = msgspec.msgpack.decode(socket.recv())
    if not reply["ok"]:
        raise RuntimeError(reply["error"])
    return reply["result"]
