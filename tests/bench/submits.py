"""Durable submits a second: what a reply has confirmed is on disk.

`python tests/bench/all.py submits` prints it for 16 client processes and for one (one job a request, the queue
paused, requests encoded beforehand), and the time of one request with 10,000 jobs. What the same 16 clients
reach with pings is what this machine can carry at most.
"""

from __future__ import annotations

import multiprocessing
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.shared import Row, Server, connected, endpoint_of, exchange, request, serving, show, spec, timed

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

CLIENTS, EACH, ALONE, BATCH = 16, 2_000, 4_000, 10_000
KEPT = "where a GPU is kept, both of the two GPUs are busy"
spawned = multiprocessing.get_context("spawn")


def ask_many(endpoint: str, op: str, count: int, start: Barrier, done: Barrier) -> None:
    """One client process."""
    messages = [request("ping")] * count
    if op == "submit":
        messages = [request("submit", jobs=[spec("true", name=f"job {at}")]) for at in range(count)]
    with connected(endpoint) as socket:
        exchange(socket, request("ping"))
        start.wait()
        for message in messages:
            exchange(socket, message)
        done.wait()


def per_second(endpoint: str, op: str, clients: int, each: int) -> float:
    start, done = spawned.Barrier(clients + 1), spawned.Barrier(clients + 1)
    workers = [spawned.Process(target=ask_many, args=(endpoint, op, each, start, done)) for _ in range(clients)]
    for worker in workers:
        worker.start()
    try:
        start.wait(60)
        began = time.perf_counter()
        done.wait(120)
        return clients * each / (time.perf_counter() - began)
    finally:
        for worker in workers:
            worker.join(5)
            worker.kill()


def one_message(server: Server) -> float:
    message = request("submit", jobs=[spec("true", name=f"job {at}") for at in range(BATCH)])
    with connected(endpoint_of(server)) as socket:
        return timed(lambda: exchange(socket, message))


def sqlite_commits(folder: Path, rows: int, each: int) -> float:
    """Seconds for `rows` rows, `each` to a commit."""
    db = sqlite3.connect(folder / f"plain-{each}.db", isolation_level=None)
    db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE jobs (id INTEGER PRIMARY KEY, t);")
    began = time.perf_counter()
    for first in range(0, rows, each):
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO jobs VALUES (?, ?)", ((at, "x" * 200) for at in range(first, first + each)))
        db.execute("COMMIT")
    took = time.perf_counter() - began
    db.close()
    return took


def behind(*first: dict[str, object]) -> float:
    """One client's submits a second, while one of two pretend GPUs is busy, behind these and many that wait."""
    with serving(TRAINQ_FAKE_GPUS="2x24GiB") as server:
        blocked = [spec("true") for _ in range(200)]
        server.client.submit([spec("sleep", "600", time_limit=3600.0), *first, *blocked])
        return per_second(endpoint_of(server), "submit", 1, ALONE)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="trainq-bench-") as name:
        plain = 2_000 / sqlite_commits(Path(name), 2_000, 1)
        at_once = sqlite_commits(Path(name), BATCH, BATCH)
    with serving() as server:
        server.client.call("pause")
        endpoint = endpoint_of(server)
        batch = one_message(server)
        alone = per_second(endpoint, "submit", 1, ALONE)
        together = per_second(endpoint, "submit", CLIENTS, EACH)
        pings = per_second(endpoint, "ping", CLIENTS, EACH)
    busy, kept = behind(spec("sleep", "600")), behind(spec("true", gpus=2))
    rows = [
        Row(f"{CLIENTS} clients together", together, "/s", 15_000, plain, more=True),
        Row(f"{CLIENTS} clients that only ping", pings, "/s"),
        Row("one client", alone, "/s", 1_500, plain, more=True),
        Row("one client, a GPU is kept for a wide job", kept, "/s", 0.7 * busy, busy, more=True),
        Row(f"one request with {BATCH:,} jobs", batch, "s", 1.5, at_once),
    ]
    show("submits", "SQLite (WAL, FULL) alone: one row a commit; for the last row 10,000 in one", rows, KEPT)


if __name__ == "__main__":
    main()
