"""docs/protocol.md is true and complete: its client and its conversation run, and nothing of the wire is missing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import Daemon, wait_until

from trainqueue import wire
from trainqueue.client import Client
from trainqueue.core.job import STATES, Cause
from trainqueue.core.spec import JobSpec
from trainqueue.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trainqueue.home import Home

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
TEXT = PAGE.read_text(encoding="utf-8")
KNOWN = ("id", "state", "position", "ok", "code", "offset", "protocol")
"""Fields of the conversation whose values are always the same."""


@pytest.fixture
def daemon(home: Home) -> Iterator[Daemon]:
    """With one GPU, as the page says, whatever this machine has."""
    made = Daemon(home)
    made.env["TRAINQ_FAKE_GPUS"] = "1x24GiB"
    try:
        made.start()
        yield made
        assert ended(made) == 0
    finally:
        if made.process is not None and made.process.poll() is None:
            made.kill()


def ended(daemon: Daemon) -> int:
    """End what still runs, then the daemon by SIGTERM; its exit code."""
    assert daemon.process is not None
    if daemon.process.poll() is not None:
        return daemon.process.returncode
    with Client(daemon.home) as client:
        running = [job["id"] for job in client.queue()["running"]]
        if running:
            client.cancel(running, force=True)
            client.wait(running, 20)
    return daemon.stop()


def block(language: str) -> str:
    """The one fenced block of this language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    return str(found)


def named(section: str) -> set[str]:
    """Words in backticks in the section with this heading; `a` and `a.b=c` both name `a`."""
    _, found, rest = TEXT.partition(f"\n## {section}")
    assert found, f"no section {section}"
    spans = re.findall(r"`([^`\n]+)`", rest.partition("\n## ")[0])
    return {span.partition("=")[0] for span in spans}


def missing(wanted: Iterable[str], section: str) -> set[str]:
    return {*wanted} - named(section)


def run_client(home: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """The page's client as a process, with nothing but the standard library (`-I -S`: no site-packages)."""
    script = folder / "client.py"
    script.write_text(block("python"), encoding="utf-8")
    env = {"PATH": os.environ["PATH"], "TRAINQ_HOME": str(home), "GREETING": "grüß dich"}
    argv = [sys.executable, "-I", "-S", "-X", "utf8", str(script), "--", *command]
    return subprocess.run(argv, env=env, cwd=folder, capture_output=True, encoding="utf-8", timeout=60, check=False)


def test_the_client_submits_waits_and_prints_the_log(daemon: Daemon, tmp_path: Path) -> None:
    ended = run_client(daemon.home.path, tmp_path, "sh", "-c", 'echo "$GREETING"; pwd; sleep 0.3; echo done >&2')
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == ["grüß dich", str(tmp_path), "done", "job 1: completed"]


@pytest.mark.parametrize(("program", "code"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_the_client_ends_as_its_job_does(daemon: Daemon, tmp_path: Path, program: str, code: int) -> None:
    ended = run_client(daemon.home.path, tmp_path, "sh", "-c", program)
    assert (ended.returncode, ended.stderr) == (code, "")
    assert ended.stdout == "job 1: failed\n"


def test_the_client_reads_a_log_in_pieces(daemon: Daemon, tmp_path: Path) -> None:
    numbers = "".join(f"{number}\n" for number in range(1, 150_001))
    ended = run_client(daemon.home.path, tmp_path, "seq", "150000")
    assert ended.stdout == numbers + "job 1: completed\n"


def test_the_client_shows_a_refusal(daemon: Daemon, tmp_path: Path) -> None:
    ended = run_client(daemon.home.path, tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith("bad-request: $.jobs[0].command: ")


def test_the_conversation_is_what_the_daemon_says(daemon: Daemon) -> None:
    lines = [line.split(" -> ") for line in block("text").splitlines()]
    with Client(daemon.home) as client:
        for asked, shown in lines:
            request = json.loads(asked)
            if request["op"] == "signal":
                wait_until(lambda: client.status(1).state == "running")
            compare(json.loads(shown), client.call(**request), asked)
    assert daemon.process is not None
    assert daemon.process.wait(30) == 0
    assert {json.loads(asked)["op"] for asked, _ in lines} == wire.OPS


def compare(shown: Any, real: Any, where: str) -> None:
    """The same fields, the same types, and where it cannot differ the same value."""
    if where.endswith(".counts"):
        assert real.keys() <= STATES.keys(), where
    elif shown in ("Job", "Gpu"):
        assert isinstance(real, dict), where
        assert not missing(real, "5. " if shown == "Gpu" else "4. ") - named("5. "), where
    elif where.endswith(".memory_trouble"):  # another on each machine
        assert real is None or isinstance(real, str), where
    elif isinstance(shown, dict):
        assert shown.keys() == real.keys(), where
        for name, value in shown.items():
            compare(value, real[name], f"{where}.{name}")
            assert name not in KNOWN or value == real[name], f"{where}.{name}: {real[name]!r}"
    elif isinstance(shown, list):
        assert len(shown) == len(real), where
        for at, value in enumerate(shown):
            compare(value, real[at], f"{where}[{at}]")
    elif shown is None or isinstance(shown, bool):
        assert real is shown, where
    else:
        assert isinstance(real, bytes if where.endswith(".data") else type(shown)), f"{where}: {real!r}"


def test_every_op_and_each_of_its_fields_is_named() -> None:
    assert not missing(wire.OPS, "3. ")
    for request in typing.get_args(wire.AnyRequest):
        assert not missing({*request.__struct_fields__} - {"id"}, "3. "), request


def test_every_error_code_is_named() -> None:
    assert not missing(typing.get_args(ErrorCode), "2. ")


def test_every_field_of_a_jobspec_is_named() -> None:
    assert not missing(JobSpec.__struct_fields__, "4. ")


def test_every_field_and_cause_of_a_job_is_named(daemon: Daemon) -> None:
    with Client(daemon.home) as client:
        submitted = client.submit([{"command": ["true"], "cwd": "/", "hold": True}])[0]["id"]
        job, gpu = client.call("status", job=submitted)["job"], client.call("gpus")["gpus"][0]
    assert not missing(job.keys() - {*JobSpec.__struct_fields__}, "5. ")
    assert not missing(gpu, "5. ")
    assert not missing(typing.get_args(Cause), "5. ")


def test_the_page_says_what_a_job_finds(daemon: Daemon) -> None:
    with Client(daemon.home) as client:
        job = client.submit([{"command": ["env"], "cwd": "/", "env": {}}])[0]["id"]
        assert client.wait([job], 20)[0].state == "completed"
        lines = client.log(job)["data"].decode().splitlines()
    assert not missing((line.partition("=")[0] for line in lines), "7. ")
