"""The daemon's log, in a process of its own, since it takes the process's standard error."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from support import ACTORS

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import logging, os, sys
from pathlib import Path
from trainqueue.daemonlog import LogFile
folder = Path(sys.argv[1])
logger = logging.getLogger("x")
logger.addHandler(LogFile(folder / "log", 10_000, 2))
for number in range(500):
    logger.error("line %d of some length, so that it rotates", number)
(folder / "log").unlink()
logger.error("after it was deleted")
os.write(2, b"a library's last words\\n")
folder.rename(folder.with_name("moved"))
folder.mkdir()
logger.error("after the home was moved")
sys.stderr.write("ours\\n")
"""


def test_it_rotates_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    env = {**os.environ, "PYTHONPATH": str(ACTORS)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)], env=env, capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stderr == "ours\n"
    assert list(folder.iterdir()) == [], "nothing in a home that is another's by now"
    moved = tmp_path / "moved"
    assert {path.name for path in moved.iterdir()} == {"log", "log.1", "log.2"}
    words = (moved / "log").read_text(encoding="utf-8")
    assert words == "after it was deleted\na library's last words\nafter the home was moved\n"
    assert (moved / "log.1").stat().st_size <= 10_000
    assert (moved / "log").stat().st_mode & 0o777 == 0o600
