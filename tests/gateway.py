"""A gateway as a process, and what asks it: plain HTTP, and a reader of its event stream."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Self

    from commands import Cli

API = "/api/training"


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def code(self) -> str:
        """Of a refusal, whose words are words."""
        assert self.headers["content-type"] == "application/json"
        error = self.json["error"]
        assert error["message"]
        assert "Traceback" not in error["message"]
        return cast("str", error["code"])


class Web:
    """`trainq-cli web` against one daemon's home."""

    def __init__(self, cli: Cli, *words: str) -> None:
        command = [*cli.prefix, "web", "--json", "--port", "0", *words]
        self.process = subprocess.Popen(command, env=cli.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout is not None
        self.place = json.loads(self.process.stdout.readline())
        self.host, self.port = "127.0.0.1", int(self.place["port"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float, str]:
        """By this signal: its code, seconds, what it printed besides."""
        began = time.monotonic()
        self.process.send_signal(number)
        out, words = self.process.communicate(timeout=20)
        return self.process.returncode, time.monotonic() - began, (out + words).decode()

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Reply:
        """`body`: bytes as they are, anything else as JSON."""
        given = dict(headers or {})
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None:
            given.setdefault("content-type", "application/json")
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            connection.request(method, path, data, given)
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, told, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, body: object = None, **headers: str) -> Reply:
        return self.ask("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def raw(self, words: str) -> socket.socket:
        sock = socket.create_connection((self.host, self.port), timeout=20)
        sock.sendall(words.encode())
        return sock

    def submit(self, *command: str, **fields: object) -> int:
        reply = self.post(f"{API}/execute", {"command": [*command], "cwd": "/", **fields})
        assert reply.status == 202, reply.data
        return int(reply.json["job_id"])


class Events:
    """Reads one stream; `until` goes on from where the last one ended."""

    def __init__(self, web: Web, query: str = "") -> None:
        self.sock = web.raw(f"GET {API}/events{query} HTTP/1.0\r\nhost: localhost\r\n\r\n")  # 1.1 comes in chunks
        self.rest = b""
        self.seen: list[tuple[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()

    def until(self, wanted: Callable[[str, Any], object], seconds: float = 15.0) -> Any:
        """The data of the first event for which this is true."""
        deadline = time.monotonic() + seconds
        while True:
            for kind, data in self._events():
                self.seen.append((kind, data))
                if wanted(kind, data):
                    return data
            left = deadline - time.monotonic()
            assert left > 0, f"not among {[(kind, [*data]) for kind, data in self.seen[-20:]]}"
            if select.select([self.sock], [], [], left)[0]:
                piece = self.sock.recv(2**20)
                assert piece, "the stream has ended"
                self.rest += piece

    def _events(self) -> list[tuple[str, Any]]:
        *whole, self.rest = self.rest.split(b"\n\n")
        lines = [[*event.replace(b"\r\n", b"\n").split(b"\n")] for event in whole]
        return [pair for event in lines if (pair := parsed(event)) is not None]


def parsed(lines: list[bytes]) -> tuple[str, Any] | None:
    """The lines of one event, before the first of which the head stands."""
    fields = dict(line.split(b": ", 1) for line in lines if line.startswith((b"event: ", b"data: ")))
    if b"data" not in fields:
        return None
    return fields[b"event"].decode(), json.loads(fields[b"data"])


@contextlib.contextmanager
def another_user() -> Generator[None, None, None]:
    """Sockets that this thread makes meanwhile are nobody's. Skips the test where only root may do that."""
    if os.getuid():
        pytest.skip("only root can be somebody else")
    libc = ctypes.CDLL(None)
    libc.setfsuid(65534)
    try:
        yield
    finally:
        libc.setfsuid(0)
