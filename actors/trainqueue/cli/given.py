"""What somebody has given on the command line: refused in words, or read from the file that it names."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click

from trainqueue import capture

NOT_UTF8 = "is not UTF-8, which all that a job is told must be"


def refuse(sentence: str) -> NoReturn:
    raise click.UsageError(sentence)


def refuse_odd(text: str, what: str = "") -> None:
    """Raises UsageError for what the wire cannot carry."""
    if not capture.is_text(text):
        refuse(f"{what}{text!a} {NOT_UTF8}")


def text_of(option: str, name: str, most: int, said: str, *, dash: bool = False) -> str:
    """Of a file, which has so many bytes at most; `said`: how much that is. Raises UsageError.

    With `dash` the name "-" means the standard input.
    """
    try:
        with Path("/dev/stdin" if dash and name == "-" else name).open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        refuse(f"{option} {name}: {error.strerror}")
    if len(data) > most:
        refuse(f"{option} {name}: it has more than {said}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        refuse(f"{option} {name}: it is not UTF-8")
