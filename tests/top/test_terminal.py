"""`trainq-cli top` as a process on a real terminal: it draws, and leaves the terminal as it was, whatever ends it."""

from __future__ import annotations

import re
import signal
import sys
import termios
from typing import TYPE_CHECKING

import pytest
from commands import PREFIX, Cli, Terminal

if TYPE_CHECKING:
    from support import Daemon

    from trainqueue.client import Client

LEFT, CURSOR = "\x1b[?1049l", "\x1b[?25h"
WITHOUT = "import sys; sys.modules['textual'] = None; from trainqueue.cli import main; main()"
FAULTY = """
import trainqueue.top.paint as paint
def draw(*_): raise ValueError("a fault")
paint.Painter.draw = draw
from trainqueue.cli import main
main()
"""


@pytest.fixture
def cli(daemon: Daemon) -> Cli:
    made = Cli(daemon)
    made.env |= {"TERM": "xterm-256color"}
    return made


def test_it_draws_and_gives_the_terminal_back(cli: Cli, client: Client) -> None:
    client.submit([{"command": ["sleep", "1000"], "cwd": "/", "name": "sleeps"}])
    env = cli.env | {"NO_COLOR": "1"}
    for number, code in ((signal.SIGTERM, 143), (signal.SIGHUP, 129)):
        with Terminal([*PREFIX, "top", "--no-mouse"], env) as terminal:
            before = termios.tcgetattr(terminal._ours)
            terminal.expect("sleeps")
            terminal.process.send_signal(number)
            text = terminal.rest()
            assert terminal.process.returncode == code
            assert termios.tcgetattr(terminal._ours)[3] & termios.ECHO == before[3] & termios.ECHO
        assert LEFT in text
        assert CURSOR in text
        assert "\x1b[?1000h" not in text  # the mouse
        assert not re.search(r"\x1b\[[0-9;]*3[0-7][;m]", text)  # no colour
    with Terminal([*PREFIX, "top"], cli.env) as terminal:
        terminal.expect("\x1b[?1000h")
        first, _, _ = terminal.text.partition("\x1b[?1000h")
        assert "sleeps" in first, "the first picture did not wait for Textual"
        assert "\x1b[32m" in first
        terminal.type("q")
        assert LEFT in terminal.rest()
        assert terminal.process.returncode == 0


def test_what_it_cannot_do_is_said_in_one_sentence(cli: Cli) -> None:
    piped = cli("top")
    assert piped.returncode == 2
    assert "needs a terminal" in piped.stderr
    assert "queue --watch" in piped.stderr
    with Terminal([*PREFIX, "top"], cli.env | {"TERM": "dumb"}) as terminal:
        assert "TERM=dumb" in terminal.rest()
        assert terminal.process.returncode == 2
    with Terminal([sys.executable, "-c", WITHOUT, "top"], cli.env) as terminal:
        text = terminal.rest()
        assert "pip install 'trainqueue[tui]'" in text
        assert "queue --watch" in text
        assert "Traceback" not in text
        assert terminal.process.returncode == 1
    with Terminal([sys.executable, "-c", FAULTY, "top"], cli.env) as terminal:
        text = terminal.rest()
        assert text.index(LEFT) < text.index("a fault")
        assert "the daemon and its jobs go on" in text
        assert terminal.process.returncode == 1
