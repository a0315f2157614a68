"""A gateway for the page's tests and its development: static files, and the scripted jobs of fakequeue.py over HTTP.

`PYTHONPATH=tests python -m page.fakegate --jobs 5000 --changes 500` serves it until interrupted. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import mimetypes
import queue
import random
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from page.fakequeue import ENDED, Gate

if TYPE_CHECKING:
    from collections.abc import Generator

    from page.fakejobs import JsonMap

STATIC = Path(__file__).resolve().parents[2] / "actors" / "trainqueue" / "web" / "static"
API = "/api/training"
CSP = "default-src 'self'"
PACE = 0.1
"""Seconds between two deltas, at least."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gate: Gate

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        query = {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}
        gate = self.gate
        if path == f"{API}/events":
            return self.events()
        if path.startswith(f"{API}/status/"):
            found = gate.jobs.get(int(path.rsplit("/", 1)[1]))
            return self.answer(200, {**found, "attempts": []}) if found else self.missing("no such job")
        if path.startswith(f"{API}/env/"):
            return self.answer(200, {"env": {"HOME": "/home/ann", "HF_TOKEN": "****"}})
        if path.startswith(f"{API}/series/"):
            points = [[time.time() - 1000 + at, at * 10, 2.0 / (1 + at / 20)] for at in range(100)]
            return self.answer(200, {"attempt": 1, "series": {"loss": points}})
        if path.startswith(f"{API}/logs/"):
            return self.send(
                200, "text/plain; charset=utf-8", b"".join(b"step %d loss 0.3\n" % at for at in range(200))
            )
        if path == f"{API}/history":
            return self.history(query)
        with gate.lock:
            answers: dict[str, Any] = {
                "queue": gate.queue_page(),
                "gpus": {"gpus": gate.cards, "trouble": None},
                "lanes": {"lanes": []},
                "stats": {"counts": gate.counts()},
            }
        name = path.removeprefix(f"{API}/")
        return self.answer(200, answers[name]) if name in answers else self.static(path)

    def history(self, query: dict[str, str]) -> None:
        states = set((query.get("states") or ",".join(ENDED)).split(","))
        before = int(query.get("before") or 2**62)
        found = [one for n, one in self.gate.jobs.items() if one["state"] in states & ENDED and n < before]
        named = [one for one in found if query.get("name", "") in (one["name"] or "")]
        limit = int(query.get("limit") or 100)
        newest = sorted(named, key=lambda one: -one["id"])
        self.answer(200, {"jobs": newest[:limit], "more": len(newest) > limit})

    def static(self, path: str) -> None:
        name = "index.html" if path == "/" else path.removeprefix("/static/")
        file = (STATIC / name).resolve()
        if not file.is_relative_to(STATIC) or not file.is_file():
            return self.missing("no such page")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return self.send(200, f"{kind}; charset=utf-8", file.read_bytes())

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        self.gate.keys.append(self.headers.get("idempotency-key"))
        self.answer(*self.gate.post(urlsplit(self.path).path.removeprefix(API), body))

    def events(self) -> None:
        mine: queue.Queue[JsonMap | None] = queue.Queue()
        with self.gate.lock:
            first = json.dumps(self.gate.snapshot())
            self.gate.streams.append(mine)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("cache-control", "no-store")
        self.send_header("connection", "close")
        self.end_headers()
        try:
            self.event("snapshot", first)
            while True:
                try:
                    found = mine.get(timeout=2)
                except queue.Empty:
                    self.event("ping", "{}")
                    continue
                if found is None:
                    break
                whole = found.pop("snapshot", None)
                self.event("snapshot" if whole else "delta", json.dumps(whole or found))
                time.sleep(0 if mine.empty() else PACE / 20)
        except OSError:
            pass  # the page went away
        finally:
            self.close_connection = True
            with self.gate.lock:
                self.gate.streams.remove(mine)

    def event(self, kind: str, data: str) -> None:
        self.wfile.write(f"event: {kind}\ndata: {data}\n\n".encode())
        self.wfile.flush()

    def missing(self, words: str) -> None:
        self.answer(404, {"error": {"code": "not-found", "message": words}})

    def answer(self, status: int, body: JsonMap) -> None:
        self.send(status, "application/json", json.dumps(body).encode())

    def send(self, status: int, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.send_header("content-security-policy", CSP)
        self.send_header("cache-control", "no-store")
        self.end_headers()
        self.wfile.write(data)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that leaves in the middle of an answer is no error."""


@contextmanager
def serving(gate: Gate, port: int = 0, handler: type[Handler] = Handler) -> Generator[str, None, None]:
    """Its URL."""
    bound = type("Bound", (handler,), {"gate": gate})
    server = Server(("127.0.0.1", port), bound)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        gate.drop()
        server.shutdown()
        server.server_close()
        thread.join()


def stir(gate: Gate, per_second: float) -> None:
    """One round of changes: progress of running jobs, and now and then something else."""
    chosen = [one["id"] for one in gate.jobs.values() if one["state"] == "running"]
    for number in random.sample(chosen, min(len(chosen), max(1, int(per_second * PACE)))):
        fraction = ((gate.jobs[number]["progress"] or {}).get("fraction") or 0) + 0.002
        gate.report(
            number, fraction=fraction % 1, step=int(20_000 * (fraction % 1)), metrics={"loss": 2 * random.random()}
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--changes", type=float, default=10)
    options = parser.parse_args()
    gate = Gate(options.jobs)
    with serving(gate, options.port) as url:
        print(url, flush=True)
        while True:
            time.sleep(PACE)
            stir(gate, options.changes)


if __name__ == "__main__":
    main()
