"""docs/guarantees.md names tests that exist, and every promise in it has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def rows() -> list[list[str]]:
    """The cells of the page's tables, without their heads."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    tables = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in tables if row[0].strip("- ") not in {"", "fault"}]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:40])
def test_every_promise_names_a_test_that_exists(row: list[str]) -> None:
    named = NAMED.findall(row[-1])
    assert named, f"no test shows: {row}"
    for file, test in named:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in text, f"{file} has no {test}"


def test_there_are_promises() -> None:
    assert len(rows()) > 20
