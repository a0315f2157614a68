"""Jobs that write without end: who reads them and who runs beside them notices little, in time and in memory."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import Cli
from runner.conftest import PROGRAMS, PYTHON
from support import Daemon, wait_until

from trainqueue.cli.follow import last_lines
from trainqueue.client import Client
from trainqueue.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.home import Home

MEBI = 1024 * 1024
CAP = 16 * MEBI


@pytest.fixture
def daemon(home: Home, tmp_path: Path) -> Iterator[Daemon]:
    """With a cap of 16 MiB."""
    (tmp_path / "trainq.toml").write_text(f"[logs]\nmax_bytes = {CAP}\n")
    made = Daemon(home)
    made.env["TRAINQ_CONFIG"] = str(tmp_path / "trainq.toml")
    made.start()
    yield made
    with Client(home) as client:
        client.shutdown("cancel")
    assert made.process is not None
    made.process.wait(30)


@pytest.fixture
def cli(daemon: Daemon) -> Cli:
    return Cli(daemon)


def spews(kind: str, mebibytes: int) -> list[str]:
    return [*PYTHON, str(PROGRAMS / "spews.py"), kind, str(mebibytes)]


def resident(pid: int) -> int:
    """Bytes; the most that there were. 0 for a process that has just ended."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    return int(found[1]) * 1024 if found else 0


def output(cli: Cli, *words: str) -> tuple[bytes, int]:
    """What it prints, and the most bytes of memory that it had while it did."""
    parts: list[bytes] = []
    memory = 0
    with subprocess.Popen([*cli.prefix, *words], env=cli.env, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while part := process.stdout.read(MEBI // 4):
            memory = resident(process.pid) or memory
            parts.append(part)
    assert process.returncode == 0
    return b"".join(parts), memory


def in_pieces(client: Client, job: int, limit: int) -> bytes:
    """The log as a stranger reads it, in pieces that end anywhere."""
    parts: list[bytes] = []
    at, eof = 0, False
    while not eof:
        part = client.log(job, offset=at, limit=limit)
        assert at <= part["offset"] <= part["next"] == part["offset"] + len(part["data"])
        parts.append(part["data"])
        at, eof = part["next"], part["eof"]
    return b"".join(parts)


def is_cut(text: bytes) -> bool:
    return (
        text.startswith(b"the first line\n")
        and text.endswith(b"\nthe last line\n")
        and text.count(b"of this log were cut here; the cap is 16.0 MiB ([logs] max_bytes)]") == 1
        and CAP // 2 < len(text) <= CAP
    )


@pytest.mark.parametrize(("kind", "mebibytes"), [("long", 110), ("returns", 20), ("binary", 20)])
def test_every_sort_of_flood_can_be_read(cli: Cli, client: Client, kind: str, mebibytes: int) -> None:
    """`long` is a line of more than 100 MB."""
    shown, memory = output(cli, "run", "--", *spews(kind, mebibytes))
    job = client.jobs()[0][0].id
    assert shown.startswith(b"the first line\n")
    assert shown.endswith(b"\nthe last line\n")
    for words in (["logs", "-f"], ["logs", "-n", "1000000000"]):
        text, took = output(cli, *words, str(job))
        memory = max(memory, took)
        if kind == "returns" and "-f" not in words:  # of frames the last one: little is left
            assert text.startswith(b"the first line\n")
            assert len(text) < 3 * MEBI
            continue
        assert is_cut(text)
        assert text == in_pieces(client, job, 1_000_003)
    assert output(cli, "logs", "-n", "1", str(job))[0] == b"the last line\n"
    last, took = output(cli, "logs", "-n", "2", str(job))
    assert last.endswith(b"\nthe last line\n")
    assert kind != "long" or CAP // 2 < len(last) <= CAP * 3 // 4  # the flood is one line
    assert 0 < max(memory, took) < 60 * MEBI


def test_a_gigabyte_in_a_burst(daemon: Daemon, client: Client) -> None:
    """The daemon's memory stays flat, and jobs beside it are started as ever."""
    assert daemon.process is not None
    client.wait([client.submit([{"command": ["true"], "cwd": "/"}])[0]["id"]], 10)
    before = resident(daemon.process.pid)
    flood = client.submit([{"command": spews("lines", 1024), "cwd": "/"}])[0]["id"]
    wait_until(lambda: client.log(flood)["size"] > 10 * MEBI)
    took: list[float] = []
    while client.status(flood).state == "running":
        began = time.monotonic()
        beside = client.submit([{"command": ["true"], "cwd": "/", "gpus": 0}])[0]["id"]
        client.wait([beside], 10)
        took.append(time.monotonic() - began)
        client.log(flood, offset=-MEBI, limit=MEBI)
    assert client.wait([flood], 20)[0].state == "completed"
    assert sorted(took)[len(took) // 2] < 0.5
    assert resident(daemon.process.pid) < before + 10 * MEBI
    log = daemon.home.log_of(flood, 1)
    wait_until(lambda: log.stat().st_blocks * 512 <= CAP)
    assert log.stat().st_size > 1024 * MEBI


def test_a_pipe_in_place_of_the_log_stops_nobody(daemon: Daemon, client: Client) -> None:
    log = daemon.home.log_of(1, 1)
    job = client.submit([{"command": ["sh", "-c", f"rm {log}; mkfifo {log}"], "cwd": "/"}])[0]["id"]
    assert client.wait([job], 10)[0].state == "completed"
    assert client.log(job)["data"] == b""


@pytest.mark.parametrize("gap", [0, 100_000, 300 * MEBI, 2**40])
def test_lines_are_counted_over_a_gap_of_any_size(daemon: Daemon, client: Client, gap: int) -> None:
    """In a handful of requests, or this would take hours."""
    job = client.submit([{"command": ["true"], "cwd": "/"}])[0]["id"]
    client.wait([job], 10)
    begins: list[int] = []
    with daemon.home.log_of(job, 1).open("r+b") as file:
        for number in range(60_000):
            if gap and number == 30_000:
                file.seek(-(-(file.tell() + gap) // 65536) * 65536)
            begins.append(file.tell())
            file.write(b"line %d\n" % number)
        file.write(b"\n\n")
    tail = Tail(client, job, 1)
    for count in (1, 20_000, 29_999, 30_001, 60_000):
        assert last_lines(tail, count) == begins[-count]
    assert last_lines(tail, 60_001) == 0
