"""A job in the user's editor: what cannot be read or is refused comes back with the reason on top; nothing is lost."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trainqueue.cli.astoml import read, written
from trainqueue.cli.common import complain
from trainqueue.errors import RequestError, TrainqError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
WRONG = "# WRONG: "
"""How the lines begin that we put on top of a text that comes back."""


def the_only(ids: list[int], *, filtered: bool) -> int:
    """Raises UsageError unless there is a terminal, and one job to edit."""
    if not sys.stdin.isatty():
        msg = "--set FIELD=VALUE is needed where there is no terminal for an editor"
        raise click.UsageError(msg)
    if len(ids) != 1 or filtered:
        msg = "an editor takes one job, by its id; --set FIELD=VALUE takes several"
        raise click.UsageError(msg)
    return ids[0]


def edited(job: dict[str, Any], heading: str, take: Callable[[dict[str, Any]], T]) -> tuple[dict[str, Any], T] | None:
    """The changed fields and what `take` made of them; None where nothing was changed.

    Raises what `take` raises, but for what the user can mend in the editor.
    """
    text = written(job, heading)
    before: str | None = None
    while True:
        given = click.edit(text, extension=".toml")
        plain = None if given is None else without_reason(given)
        if plain is None or plain == before:
            if before is not None:
                complain(f"nothing was changed; your text is kept in {kept(before)}")
            return None
        before = plain
        try:
            fields = read(plain, job)
            return (fields, take(fields)) if fields else None
        except ValueError as error:
            text = with_reason(plain, str(error))
        except TrainqError as error:
            if not isinstance(error, RequestError) or error.code == "conflict":
                complain(f"your text is kept in {kept(plain)}")
                raise
            text = with_reason(plain, str(error))


def with_reason(text: str, sentence: str) -> str:
    return "".join(f"{WRONG}{line}\n" for line in sentence.splitlines()) + text


def without_reason(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(WRONG))


def kept(text: str) -> str:
    fd, path = tempfile.mkstemp(prefix="trainq-edit-", suffix=".toml")
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
    return path
