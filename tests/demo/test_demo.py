"""The demo as the README has it, but in this environment: three runs complete, one crashes as meant."""

from __future__ import annotations

import subprocess
import sys


def test_the_demo_sees_four_runs_through() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trainqueue.demo"], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    table = [line.split("\t") for line in done.stdout.splitlines() if line.count("\t") == 5]
    assert [row[2] for row in table] == ["STATE", "completed", "completed", "failed", "completed"]
    assert all(float(row[5]) > 0.8 for row in table if row[2] == "completed")
