"""docs/progress.md: its examples run, and all that it names exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from support import ACTORS

from trainqueue import callbacks, report, scan
from trainqueue.report import RANKS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "progress.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def test_the_examples_report(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    env = {"TRAINQ_PROGRESS": str(path), "PYTHONPATH": str(ACTORS), "step": "7", "loss": "0.5"}
    script, *_ = blocks("python")
    subprocess.run([sys.executable, "-c", script], env=env, check=True)
    assert json.loads(path.read_text()) == {"step": 100, "total": 100, "loss": 0.01, "message": ""}
    (shell,) = blocks("sh")
    subprocess.run(["/bin/sh", "-c", shell], env={**env, "PATH": "/usr/bin:/bin"}, check=True)
    assert json.loads(path.read_text()) == {"step": 7, "total": 100, "loss": 0.5, "message": "in a shell"}


def test_what_is_named_exists() -> None:
    named = {*re.findall(r"from trainqueue.callbacks import (\w+)", TEXT)}
    assert named == {*callbacks.HOOKS}
    assert all(f"`{name}`" in TEXT for name in RANKS)
    assert callable(report)


def test_the_lines_that_are_shown_are_recognised() -> None:
    table = TEXT.partition("| what | example |")[2].partition("\n\n")[0]
    examples = re.findall(r"`([^`]+)`", table)
    assert len(examples) == 10
    for example in examples:
        assert scan.recognise(example) is not None, example
