"""What `logs` shows of bars: their last frames; who follows gets all, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import Cli
from hypothesis import given
from hypothesis import strategies as some

from trainqueue.cli.frames import MOST, Frames, last

if TYPE_CHECKING:
    from support import Daemon

    from trainqueue.client import Client

LINES = {
    b"plain": b"plain",
    b"\r 10%|#\r 20%|##": b" 20%|##",
    b"a\rb\r": b"b\r",
    b"windows\r": b"windows\r",
    b"\r\r": b"\r\r",
    b"\x00 binary\r": b"\x00 binary\r",
    b"\x00\rb": b"\x00\rb",
    b"": b"",
}


def shown(*pieces: bytes) -> bytes:
    frames = Frames()
    return b"".join(map(frames.passed, pieces)) + frames.rest()


@pytest.mark.parametrize("line", LINES)
def test_the_last_frame_of_a_line(line: bytes) -> None:
    assert last(line) == LINES[line]
    assert shown(b"before\n" + line + b"\nafter") == b"before\n" + LINES[line] + b"\nafter"


@given(some.text(alphabet="ab\r\n", max_size=40), some.integers(0, 40), some.integers(0, 40))
def test_wherever_it_is_cut(text: str, first: int, second: int) -> None:
    data = text.encode()
    expected = b"\n".join(map(last, data.split(b"\n")))
    one, two = sorted((first, second))
    assert shown(data[:one], data[one:two], data[two:]) == expected


def test_without_an_end_of_line_little_is_held() -> None:
    frames = Frames()
    frames.passed(b"\rx")
    assert sum(len(frames.passed(b"y" * 2**18)) for _ in range(42)) >= 42 * 2**18 - MOST


def test_logs_and_logs_f(daemon: Daemon, client: Client) -> None:
    cli = Cli(daemon)
    script = r"printf '\r 10%%|#| 1/10\r 20%%|##| 2/10\r100%%|###| 10/10\ndone\n'"
    job = client.submit([{"command": ["sh", "-c", script], "cwd": "/"}])[0]["id"]
    client.wait([job], 10)
    assert cli("logs", str(job)).stdout == "100%|###| 10/10\ndone\n"
    assert cli("logs", "-f", str(job)).stdout.count("%|") == 3
