"""The command line, as a process each time; the supervisor buries all children, so the exit code comes as text."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 60.0


class Shell:
    def __init__(self, home: Path, config: str, pythonpath: str) -> None:
        ours = {"TRAINQ_HOME": str(home), "TRAINQ_CONFIG": config, "PYTHONPATH": pythonpath}
        said = {"SOAK_WEEKEND": "1", "WEEKEND_DENIED": "secret", "WEEKEND_KEPT": "1", "NO_COLOR": "1"}
        self.env = {**os.environ, **ours, **said}
        self.ran: list[tuple[str, int]] = []
        """Each command with its exit code."""

    def run(self, op: str, *words: str, cwd: Path | None = None) -> Any:
        """What it prints as JSON; None where it failed as a whole."""
        argv = ["sh", "-c", '"$@"; echo "$?"', "sh", sys.executable, "-m", "trainqueue.cli", op, "--json", *words]
        done = subprocess.run(
            argv, env=self.env, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        *lines, code = done.stdout.splitlines() or ["1"]
        self.ran.append((op, int(code)))
        with contextlib.suppress(ValueError):
            return json.loads("\n".join(lines))
        return None
