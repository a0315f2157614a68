"""A job in the user's editor: what cannot be read or is refused comes back with the reason on top; nothing is lost."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trainqueue.cli.astoml import read, written
from trainqueue.cli.common import complain
from trainqueue.cli.edittext import EditorError, as_bytes, edit_text
from trainqueue.cli.refusals import in_words
from trainqueue.errors import RequestError, TrainqError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
WRONG = "# WRONG: "
"""How the lines begin that we put on top of a text that comes back."""
ROUNDS = 20
"""Nobody mends a text so often; a program that answers for him might try for ever."""
INSTEAD = "Name an editor that works, as EDITOR=nano in front of the command, or change fields by --set FIELD=VALUE"


class UneditedError(TrainqError):
    """The user, or his editor, has given up; nothing was changed."""


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
    """The changed fields and what `take` made of them; None where the user has changed nothing.

    Raises UneditedError where that came to nothing, and what `take` raises, but for what can be mended in the editor.
    """
    unchanged, text = f"job {job['id']} is unchanged", written(job, heading)
    mistaken: str | None = None
    reason = ""
    for _ in range(ROUNDS):
        try:
            given = without_reason(edit_text(text, f"job-{job['id']}.toml"))
        except EditorError as error:
            msg = f"{unchanged}: {error}. {keeping(mistaken)}{INSTEAD}"
            raise UneditedError(msg) from None
        if given == mistaken:
            break
        try:
            fields = read(given, job)
            return (fields, take(fields)) if fields else None
        except ValueError as error:
            reason = str(error)
        except TrainqError as error:
            if not isinstance(error, RequestError) or error.code == "conflict":
                sure = f"{unchanged}. " if isinstance(error, RequestError) else ""
                complain(f"{sure}{keeping(given)}")
                raise
            reason = in_words(str(error))
        mistaken, text = given, with_reason(given, reason)
        if not again(reason):
            break
    msg = f"{unchanged}: {reason}. {keeping(mistaken)}"
    raise UneditedError(msg)


def again(reason: str) -> bool:
    """Whether the user goes on; the end of the input and Ctrl-C mean no."""
    from trainqueue.cli.submit import answer

    try:
        complain(reason)
        click.echo("Edit it again? [Y/n]: ", nl=False, err=True)
        said = answer()
    except KeyboardInterrupt:
        said = ""
    if not said.endswith("\n"):
        click.echo(err=True)
    return bool(said) and said.strip().lower() in {"", "y", "yes"}


def with_reason(text: str, sentence: str) -> str:
    return "".join(f"{WRONG}{line}\n" for line in sentence.splitlines()) + text


def without_reason(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(WRONG))


def keeping(text: str | None) -> str:
    """Put what the user has written where he finds it, and say where; where that fails, show it."""
    if text is None:
        return ""
    try:
        fd, path = tempfile.mkstemp(prefix="trainq-edit-", suffix=".toml")
        with os.fdopen(fd, "wb") as file:
            file.write(as_bytes(text))
    except OSError as error:
        click.echo(as_bytes(text))
        return f"Your text could not be kept ({error}); it stands above. "
    return f"Your text is kept in {path}. "
