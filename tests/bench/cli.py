"""The command line as whole processes: `submit -- true` and `status`, in a pipe and on a terminal.

`python tests/bench/all.py cli` prints the median of 30 runs each, taken in turns with the baseline. Much of both
is what lies in the interpreter's site-packages: compare the ratio, or use a fresh environment.
"""

from __future__ import annotations

import os
import pty
import statistics
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

from bench.shared import Row, Server, serving, show, timed

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = 30
CLI = (sys.executable, "-m", "trainqueue.cli")
BARE = (sys.executable, "-c", "pass")
COMMANDS = {"submit -- true": (*CLI, "submit", "--", "true"), "status": (*CLI, "status")}


def in_pipe(command: tuple[str, ...], env: dict[str, str]) -> None:
    subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True)


def on_terminal(command: tuple[str, ...], env: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        while os.read(ours, 65536):
            pass
    except OSError:  # EIO: the last one has let go of the terminal
        pass
    finally:
        os.close(ours)
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command)


def measure(
    server: Server, place: str, run: Callable[[tuple[str, ...], dict[str, str]], None], most: float
) -> list[Row]:
    """Milliseconds of each command, in turns with the bare interpreter."""
    commands = {"bare": BARE, **COMMANDS}
    for command in commands.values():
        run(command, server.env)  # the first one compiles the modules
    took: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(TIMES):
        for name, command in commands.items():
            took[name].append(1000 * timed(partial(run, command, server.env)))
    usual = {name: statistics.median(found) for name, found in took.items()}
    return [Row(f"{name}, {place}: median", usual[name], "ms", most, usual["bare"]) for name in COMMANDS]


def main() -> None:
    with serving() as server:
        server.client.call("pause")
        rows = measure(server, "in a pipe", in_pipe, 75.0)
        rows += measure(server, "on a terminal", on_terminal, 120.0)
    show("cli", "python -c pass", rows)


if __name__ == "__main__":
    main()
