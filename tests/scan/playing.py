"""Logs that come in over time, as a trainer reads them: every half second what is new."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainqueue.scan import Told

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLES = Path(__file__).with_name("samples")
EVERY = 0.5


def sample(name: str) -> list[tuple[float, str]]:
    """What a real program has written, and when."""
    return [(at, text) for at, text in json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))]


def play(rows: Sequence[tuple[float, str]], *command: str, well: bool = True) -> list[dict[str, Any]]:
    """All that is told of it; checks that the fraction never goes back."""
    told, found, rest, now = Told(command), list[dict[str, Any] | None](), list(rows), 0.0
    while rest:
        now += EVERY
        text = "".join(text for at, text in rest if at <= now)
        rest = [(at, text) for at, text in rest if at > now]
        told.scanner.feed(text.encode(), now)
        if told.scanner.heard:
            found.append(told.map(now, now))
    found.append(told.map(now, now, ended=True, well=well))
    maps = [each for each in found if each is not None]
    shown = [each["fraction"] for each in maps if each["fraction"] is not None]
    assert shown == sorted(shown)
    return maps


def bar(name: str, step: int, total: int, elapsed: float, said: str = "") -> str:
    """As tqdm writes it."""
    rate = step / elapsed if step and elapsed else 0.0
    left = clock((total - step) / rate) if rate else "?"
    speed = f"{rate:5.2f}it/s" if rate else "?it/s"
    head = f"{name}: " if name else ""
    told = f"{step}/{total} [{clock(elapsed)}<{left}, {speed}{said}]"
    return f"\r{head}{100 * step // total:3d}%|{'█' * (10 * step // total):<10}| {told}"


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


class Log:
    """Written in pretended time."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, str]] = []
        self.now = 0.0

    def say(self, text: str, then: float = 0.0) -> None:
        self.rows.append((self.now, text))
        self.now += then

    def run(self, name: str, total: int, seconds: float, said: str = "", *, first: int = 0) -> None:
        """A whole bar."""
        began = self.now
        for step in range(first, total + 1):
            self.say(bar(name, step, total, self.now - began, said), seconds / total)
        self.say("\n")
