"""A text in the user's editor, and what he has made of it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path
from shutil import which

from trainqueue.errors import TrainqError

USUAL = ("sensible-editor", "nano", "vim", "vi")
"""Editors that are tried where the user has named none."""
NOT_STARTED = (126, 127)
"""What the shell says of a program that may not be executed, or is not there."""


class EditorError(TrainqError):
    """No text came back from the editor; its words say why."""


def edit_text(text: str, name: str) -> str:
    """What the editor leaves in a file of this name; bytes that are not UTF-8 come as lone surrogates.

    The file has a folder of its own, so that nothing stays behind of what an editor lays beside it. Raises EditorError.
    """
    editor = chosen()
    try:
        with tempfile.TemporaryDirectory(prefix="trainq-edit-", ignore_cleanup_errors=True) as folder:
            path = Path(folder, name)
            path.write_bytes(as_bytes(text))
            run(editor, path)
            return path.read_bytes().decode(errors="surrogateescape").removeprefix("\ufeff")
    except FileNotFoundError:
        msg = f"{editor!r} has removed the file that it was to edit"
        raise EditorError(msg) from None
    except OSError as error:
        msg = f"the text for the editor cannot be written or read again ({error})"
        raise EditorError(msg) from None


def as_bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def chosen() -> str:
    """A line for the shell, as everybody takes it. Raises EditorError."""
    for variable in ("VISUAL", "EDITOR"):
        if os.environ.get(variable, "").strip():
            return os.environ[variable]
    found = next(filter(which, USUAL), None)
    if found is None:
        msg = f"EDITOR is not set, and none of {', '.join(USUAL)} is here"
        raise EditorError(msg)
    return found


def run(editor: str, path: Path) -> None:
    """Raises EditorError unless it ends well, OSError where there is no shell."""
    process = subprocess.Popen(["/bin/sh", "-c", f'{editor} "$@"', editor, str(path)])
    ours = {key: signal.signal(key, signal.SIG_IGN) for key in (signal.SIGINT, signal.SIGQUIT)}  # are the editor's now
    try:
        code = process.wait()
    finally:
        for key, handler in ours.items():
            signal.signal(key, handler)
    if code in NOT_STARTED:
        msg = f"the editor {editor!r} cannot be started"
        raise EditorError(msg)
    if code:
        ending = f"exit code {code}" if code > 0 else f"signal {-code}"
        msg = f"the editor {editor!r} has ended with {ending}"
        raise EditorError(msg)
