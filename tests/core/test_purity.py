"""The core knows no clock, thread, socket, file or process: all that it is told comes in with an event."""

from __future__ import annotations

import ast
from pathlib import Path

from trainqueue import core

IMPURE = {
    "time",
    "datetime",
    "threading",
    "socket",
    "os",
    "pathlib",
    "subprocess",
    "random",
    "logging",
    "sqlite3",
    "zmq",
}


def test_the_core_imports_nothing_of_the_machine() -> None:
    found: dict[str, set[str]] = {}
    for file in Path(core.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if impure := IMPURE & {name.partition(".")[0] for name in names}:
                found[file.name] = impure
    assert found == {}
