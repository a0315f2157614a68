"""The fake gateway with logs that can be written to, and read by range, and with metrics of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, urlsplit

from page.fakegate import API, Handler, serving
from page.fakequeue import Gate

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from page.fakejobs import JsonMap


class LogGate(Gate):
    """Its jobs have logs."""

    def __init__(self, waiting: int = 5, cards: int = 4) -> None:
        super().__init__(waiting, cards)
        self.logs: dict[tuple[int, int], bytes] = {}
        self.series: dict[int, JsonMap] = {}
        self.attempts: dict[int, list[JsonMap]] = {}

    def post(self, path: str, body: JsonMap) -> tuple[int, JsonMap]:
        if not path.startswith("/gpus/") or path in self.refuse:
            return super().post(path, body)
        with self.lock:
            self.asked.append((path, body))
            for card in self.cards:
                if card["id"] in body["gpus"]:
                    card["enabled"] = path == "/gpus/enable"
            self.tell(gpus=self.cards)
        return 200, {"gpus": self.cards}

    def write(self, number: int, text: str | bytes, attempt: int = 1) -> None:
        """As the job's process does."""
        more = text.encode() if isinstance(text, str) else text
        before = self.logs.get((number, attempt), b"")
        after = self.logs[number, attempt] = before + more
        piece = {"offset": len(before), "next": len(after), "size": len(after), "data": more.decode(errors="replace")}
        with self.lock:
            self.tell(log={"job": number, "attempt": attempt, **piece, "eof": False})


class LogHandler(Handler):
    """Answers what the plain one makes up."""

    def do_GET(self) -> None:  # noqa: N802  (the name that http.server looks for)
        gate, url = cast("LogGate", self.gate), urlsplit(self.path)
        kind, _, number = url.path.removeprefix(f"{API}/").partition("/")
        if kind == "logs":
            attempt = int(parse_qs(url.query).get("attempt", ["1"])[0])
            self.part(gate.logs.get((int(number), attempt), b""))
        elif kind == "series":
            self.answer(200, {"attempt": 1, "series": gate.series.get(int(number), {})})
        elif kind == "status" and int(number) in gate.attempts:
            self.answer(200, {**gate.jobs[int(number)], "attempts": gate.attempts[int(number)]})
        else:
            super().do_GET()

    def part(self, data: bytes) -> None:
        """Of a log, as RFC 9110 says."""
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("range") or "")
        if wanted is None:
            return self.send(200, "text/plain; charset=utf-8", data)
        first, last = wanted.groups()
        begin = int(first) if first else max(0, len(data) - int(last))
        end = min(int(last) + 1 if first and last else len(data), len(data))
        if begin >= len(data):
            return self.send(416, "text/plain; charset=utf-8", b"")
        self.send_response(206)
        self.send_header("content-range", f"bytes {begin}-{end - 1}/{len(data)}")
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(end - begin))
        self.end_headers()
        self.wfile.write(data[begin:end])
        return None


def serving_logs(gate: LogGate) -> AbstractContextManager[str]:
    """Its URL."""
    return serving(gate, handler=LogHandler)
