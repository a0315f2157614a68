"""Why a job's program could not be started, looked at by who submits it: hours later nobody sits there.

As the runner looks for it: on the job's own PATH, else from its folder.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

LATER = "unless that changes, the job cannot start"
"""What is said behind a doubt of a job that is queued even so."""
Doubt = tuple[str, bool]
"""A sentence, and whether it is sure."""


def doubt(name: str, folder: str, path: str) -> Doubt | None:
    """Why a program of this name could not be started from the folder."""
    if not os.path.isdir(folder):  # noqa: PTH112  (text throughout)
        return f"there is no folder {folder}", False
    here = os.path.join(folder, name)  # noqa: PTH118
    if "/" in name:
        return doubt_of_file(name, here)
    if any(is_program(os.path.join(folder, place or ".", name)) for place in path.split(os.pathsep)):  # noqa: PTH118
        return None
    if os.path.isdir(here):  # noqa: PTH112
        return f"{name} is a folder, and no program", True
    if os.path.isfile(here):  # noqa: PTH113
        return f"{name} lies in {folder}, which is not on the PATH: say ./{name}, or leave out the --", True
    if re.search(r"\.[A-Za-z]{1,4}$", name):
        return f"there is no {name} in {folder}, and no program {name} on the PATH", True
    return f"there is no program {name} on the PATH", False


def is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)  # noqa: PTH113


def doubt_of_file(name: str, path: str) -> Doubt | None:
    try:
        mode = Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"there is no file {name}", True
    except OSError:
        return None  # nobody knows
    if stat.S_ISDIR(mode):
        return f"{name} is a folder, and no program", True
    if not os.access(path, os.X_OK):
        return f"{name} is not executable: chmod +x {name}, or say what runs it", True
    return doubt_of_head(name, path)


def doubt_of_head(name: str, path: str) -> Doubt | None:
    """What its first bytes tell."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(256)
    except OSError:
        return None  # it may be executed and not read
    if head.startswith(b"#!"):
        words = head[2:].partition(b"\n")[0].split(None if b"\r" not in head else b" ")
        interpreter = os.fsdecode(words[0]) if words else ""
        if interpreter.startswith("/") and not os.path.lexists(interpreter):
            return f"the first line of {name} names {interpreter!r}, and there is no such program", True
    elif not head.startswith(b"\x7fELF"):
        return f"{name} is neither a program nor a script with a #! line", False
    return None
