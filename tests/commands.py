"""trainq-cli in tests: as a process with pipes, and on a real terminal (a pty) that people type into."""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

from trainqueue.capture import MARKS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    from support import Daemon

PREFIX = [sys.executable, "-m", "trainqueue.cli"]


class Cli:
    """Runs `trainq-cli` against one home."""

    def __init__(self, daemon: Daemon) -> None:
        outer = {name: value for name, value in daemon.env.items() if name not in MARKS}
        self.env = {**outer, "TRAINQ_HOME": str(daemon.home.path)}
        self.prefix = PREFIX

    def __call__(self, *words: str | bytes, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [*self.prefix, *words]
        return subprocess.run(
            command,
            env=self.env,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            errors="replace",
        )

    def documents(self, *words: str) -> list[Any]:
        """Each line of what `--json` prints."""
        return [json.loads(line) for line in self(*with_json(words)).stdout.splitlines()]

    def json(self, *words: str) -> Any:
        (document,) = self.documents(*words)
        return document

    def on_a_terminal(self, *words: str, columns: int = 80) -> str:
        with Terminal([*self.prefix, *words], self.env, columns) as terminal:
            return terminal.rest()


def with_json(words: Sequence[str]) -> list[str]:
    """`--json` comes right behind the command, since a job's own words may follow."""
    behind = 2 if words[0] == "daemon" else 1
    return [*words[:behind], "--json", *words[behind:]]


class Terminal:
    """A process that has a terminal for itself, as a shell's foreground job has."""

    def __init__(self, command: Sequence[str], env: dict[str, str], columns: int = 80) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *command], env=env, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        self.text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._ours)  # hangs up
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)

    def expect(self, *wanted: str, seconds: float = 20.0) -> str:
        """Read until one of these stands there, and say which."""
        deadline = time.monotonic() + seconds
        while (found := next((words for words in wanted if words in self.text), None)) is None:
            assert time.monotonic() < deadline, f"{wanted} is not in {self.text!r}"
            if not self._read(0.1):
                assert any(words in self.text for words in wanted), f"ended without {wanted}: {self.text!r}"
        return found

    def forget(self) -> None:
        """What stands there."""
        self.text = ""

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def rest(self, seconds: float = 30.0) -> str:
        """All of it, up to its end."""
        deadline = time.monotonic() + seconds
        while self._read(0.1):
            assert time.monotonic() < deadline, f"does not end: {self.text!r}"
        self.process.wait(30)
        return self.text

    def _read(self, patience: float) -> bool:
        """False at the end."""
        if not select.select([self._ours], [], [], patience)[0]:
            return True
        try:
            part = os.read(self._ours, 65536)
        except OSError:
            return False  # Linux says EIO when the other side has closed
        self.text += self._decoder.decode(part)
        return bool(part)


TAKE_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Makes the pty its controlling terminal, so that Ctrl-C is a signal."""
