"""The line about a job below its own output: what stays on the screen is what the job has printed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from emulator import Screen, Window
from hypothesis import given, settings
from hypothesis import strategies as st

from trainqueue.cli.footer import Ground

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Cli

    from trainqueue.client import Client

SAFE = {
    "a line\n": True,
    "half a line": False,
    " 40%|####      |\r": False,
    "red \x1b[31mline\n\x1b[0m": True,
    "\x1b[31m": True,
    "up\n\x1b[1A\rover\n": False,
    "up\x1b[1A" + "\n" * 24: True,
    "\x1b[H\x1b[2Jcleared\n": True,
    "\x1b[2J\x1b[Hcleared\n": True,
    "\x1b[2J\x1b[1;1Hcleared\n": True,
    "\x1b[Hhome alone\n": False,
    "\x1b[?1049hanother screen" + "\n" * 99: False,
    "\x1b[?1049hanother screen\x1b[?1049l\n": False,
    "\x1b[K\x1b[5Cright\n": True,
    "\x1bMback\n": False,
    "\x1bcnew\n": True,
}


@pytest.mark.parametrize(("output", "safe"), SAFE.items())
def test_where_there_is_room_for_it(output: str, safe: bool) -> None:  # noqa: FBT001
    ground = Ground()
    ground.passed(output.encode(), 24)
    assert ground.safe is safe


@settings(max_examples=100)
@given(st.lists(st.sampled_from([*SAFE, "\n", "\x1b", "["]), max_size=6), st.integers(1, 9))
def test_it_does_not_matter_in_what_pieces_the_output_comes(parts: list[str], size: int) -> None:
    data = "".join(parts).encode()
    whole, pieces = Ground(), Ground()
    whole.passed(data, 24)
    for at in range(0, len(data), size):
        pieces.passed(data[at : at + size], 24)
    assert (pieces.safe, pieces.owed) == (whole.safe, whole.owed)


JOB = r"""
import os, sys, time
from trainqueue import report
def gate(name):
    while not os.path.exists(os.path.join(sys.argv[1], name)):
        time.sleep(0.01)
def say(text):
    sys.stdout.write(text); sys.stdout.flush()
say("first\n")
report(step=1, total=4, loss=0.5)
gate("partial")
say("Loading the data...")
gate("bar")
for at in range(5):
    say(f"\r{at * 25:3}%|{'#' * at:4}|")
gate("wide")
say("\n" + "x" * 200 + "\n" + "漢" * 45 + "\n\x1b[31mred stays\n")
report(step=2, total=4, loss=0.25)
gate("clear")
say("\x1b[0m\x1b[H\x1b[2Jafter the clear\n")
report(step=3, total=4)
gate("end")
say("last\n")
"""


@pytest.fixture
def job(tmp_path: Path) -> list[str]:
    (tmp_path / "job.py").write_text(JOB, encoding="utf-8")
    return ["python3", str(tmp_path / "job.py"), str(tmp_path)]


def test_what_stays_is_what_the_job_has_printed(cli: Cli, client: Client, tmp_path: Path, job: list[str]) -> None:
    client.pause()
    client.submit([{"command": ["true"], "cwd": "/"}])
    with Window([*cli.prefix, "run", "--", *job], cli.env) as window:
        window.sees("job 2 queued (position: 2), the queue is paused")
        client.cancel([1])
        client.resume()
        window.sees("first", "job 2: ███", "25%", "1/4", "loss 0.5")
        window.resize(60, 24)
        window.sees("25%")
        window.resize(80, 24)
        window.sees("25%")
        (tmp_path / "partial").touch()
        window.until(lambda text: text.endswith("Loading the data..."))
        (tmp_path / "bar").touch()
        window.sees("100%|####|")
        assert window.silence(0.5)
        (tmp_path / "wide").touch()
        window.sees("red stays", "job 2: ██████", "50%", "2/4", "loss 0.25")
        window.type("\x03")
        window.sees("Cancel job 2?")
        assert "50%" not in window.screen.text()
        window.type("\x03")
        window.rest()
        assert "job 2: " not in window.screen.text().replace("job 2: trainq-cli", "")
        assert window.process.returncode == 130
    with Window([*cli.prefix, "logs", "-f", "2"], cli.env) as window:
        window.sees("red stays", "50%")
        (tmp_path / "clear").touch()
        window.sees("after the clear", "75%")
        (tmp_path / "end").touch()
        window.rest()
        assert window.screen.everything() == printed(cli)


def printed(cli: Cli) -> str:
    """What a terminal shows of the job's log alone."""
    plain = Screen()
    plain.feed(subprocess.check_output([*cli.prefix, "logs", "2"], env=cli.env).decode().replace("\n", "\r\n"))
    return plain.everything()


def test_ctrl_z_leaves_nothing_of_it(cli: Cli, tmp_path: Path, job: list[str]) -> None:
    follow = f'{" ".join(cli.prefix)} run -- {" ".join(job)}; echo "stopped $?"; read x; fg >/dev/null; echo "left $?"'
    with Window(["bash", "-mc", follow], cli.env) as window:
        window.sees("25%")
        window.type("\x1a")
        assert "25%" not in window.sees("stopped 148")
        window.type("\n")
        window.sees("25%")
        for gate in ("partial", "bar", "wide", "clear", "end"):
            (tmp_path / gate).touch()
        assert "%" not in window.sees("last", "left 0")


def test_where_it_is_not_wanted_it_is_not(cli: Cli) -> None:
    with Window([*cli.prefix, "run", "--no-bar", "--", "sh", "-c", "echo a; sleep 0.3; echo b"], cli.env) as window:
        assert window.rest().replace("\r", "").endswith("a\nb\n")
