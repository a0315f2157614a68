"""The gateway: its memory, the first picture of a long queue, how late an event is on a page, answers a second.

`python tests/bench/all.py web`. A real daemon, a real `trainq-cli web`, and plain sockets that read. An event's way is
measured from the answer to the change until the delta with it has come. The baseline of memory is an interpreter that
has only imported the web server; of an event, the change itself; of an answer, the same op on the wire.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.shared import Row, p90, serving, show, spec, timed

if TYPE_CHECKING:
    from collections.abc import Generator

    from bench.shared import Server

FEW, MANY, STREAMS, EVENTS, ANSWERS = 1_000, 5_000, 10, 100, 200
MOST_MB, LATE_MS = 45.0, 50.0
BARE = "import starlette.applications, uvicorn, prometheus_client, sys; print(flush=True); sys.stdin.read()"


def resident(pid: int) -> float:
    """MB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def bare(server: Server) -> float:
    command = [sys.executable, "-c", BARE]
    with subprocess.Popen(command, env=server.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        found = resident(process.pid)
        process.stdin.close()
    return found


@contextlib.contextmanager
def gateway(server: Server) -> Generator[tuple[int, int], None, None]:
    """Its pid and its port."""
    command = [sys.executable, "-m", "trainqueue.cli", "web", "--json", "--port", "0"]
    process = subprocess.Popen(command, env=server.env, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process.pid, int(json.loads(process.stdout.readline())["port"])
    finally:
        process.terminate()
        process.wait(20)


@dataclass(slots=True)
class Page:
    """One open stream, in pieces as they come."""

    port: int
    sock: socket.socket = field(init=False)
    rest: bytes = b""
    size: int = 0

    def __post_init__(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port))
        self.sock.sendall(b"GET /api/training/events HTTP/1.1\r\nhost: localhost\r\n\r\n")

    def until(self, words: bytes, seconds: float = 30.0) -> None:
        """An event with these words has come whole; what is behind it waits."""
        deadline = time.monotonic() + seconds
        while True:
            at = self.rest.find(words)
            end = -1 if at < 0 else self.rest.find(b"\n\n", at)
            if end >= 0:
                self.size, self.rest = end, self.rest[end:]
                return
            if not select.select([self.sock], [], [], deadline - time.monotonic())[0]:
                raise TimeoutError
            self.rest += self.sock.recv(2**20)


def drain(sock: socket.socket) -> None:
    """As a page that is looked at."""
    with contextlib.suppress(OSError):
        while sock.recv(2**20):
            pass


def first_picture(port: int) -> tuple[float, float]:
    """Milliseconds until the snapshot of one more page is there, the best of five; its size in MB."""
    best, size = float("inf"), 0
    for _ in range(5):
        began = time.perf_counter()
        page = Page(port)
        page.until(b"event: snapshot")
        best, size = min(best, 1000 * (time.perf_counter() - began)), page.size
        page.sock.close()
    return best, size / 1e6


def lateness(server: Server, page: Page) -> tuple[list[float], list[float]]:
    """Milliseconds from a change's answer to its delta, and of the change itself. The page rests between them."""
    late: list[float] = []
    change: list[float] = []
    for at in range(EVENTS):
        mark = f"bench {at}."
        change.append(1000 * timed(partial(server.client.call, "edit", job=1, set={"name": mark})))
        began = time.perf_counter()
        page.until(mark.encode())
        late.append(1000 * (time.perf_counter() - began))
        time.sleep(0.15)
    return late, change


def answers(port: int, path: str) -> float:
    """A second, on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def ask() -> None:
        for _ in range(ANSWERS):
            connection.request("GET", path)
            connection.getresponse().read()

    took = timed(ask)
    connection.close()
    return ANSWERS / took


def on_the_wire(server: Server) -> float:
    def ask() -> None:
        for _ in range(ANSWERS):
            server.client.status(1)

    return ANSWERS / timed(ask)


def with_jobs(server: Server, jobs: int) -> list[Row]:
    """So many wait when the gateway starts."""
    rows: list[Row] = []
    with gateway(server) as (pid, port), contextlib.ExitStack() as stack:
        page = Page(port)
        page.until(b"event: snapshot")
        idle = resident(pid)
        pages = [Page(port) for _ in range(STREAMS - 1)]
        for other in pages:
            stack.callback(other.sock.close)
            other.until(b"event: snapshot")
            threading.Thread(target=drain, args=(other.sock,), daemon=True).start()
        took, size = first_picture(port)
        rows.append(Row(f"{jobs:,} jobs: snapshot ({size:.1f} MB)", took, "ms"))
        late, change = lateness(server, page)
        bound = LATE_MS if jobs == FEW else None
        rows.append(
            Row(
                f"{jobs:,} jobs: event to page, median", statistics.median(late), "ms", bound, statistics.median(change)
            )
        )
        rows.append(Row(f"{jobs:,} jobs: event to page, p90", p90(late), "ms", None, p90(change)))
        rows.append(
            Row(
                f"{jobs:,} jobs: status",
                answers(port, "/api/training/status/1"),
                "/s",
                None,
                on_the_wire(server),
                more=True,
            )
        )
        rows.append(Row(f"{jobs:,} jobs: memory, one page", idle, "MB", None, bare(server)))
        most = MOST_MB if jobs == FEW else None
        rows.append(Row(f"{jobs:,} jobs: memory, {STREAMS} pages", resident(pid), "MB", most, bare(server)))
        page.sock.close()
    return rows


def main() -> None:
    rows: list[Row] = []
    with serving() as server:
        server.client.call("pause")
        made = 0
        with gateway(server):
            pass  # what is compiled at the first start is not in the memory of the others
        for jobs in (FEW, MANY):
            server.client.submit([spec("true", name=f"job {at}") for at in range(jobs - made)])
            made = jobs
            rows += with_jobs(server, jobs)
    show("web", "see the top of this file", rows)


if __name__ == "__main__":
    main()
