"""`submit script.sh [ARGS]`: a script of this folder, with the options that stand in its `#TRAINQ` lines.

Only without `--`, behind which stands a command as it is. A word without a slash that is a program on the PATH is that
program. The command line goes before the script's lines.
"""

from __future__ import annotations

import os
import re
import shlex
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainqueue.cli.common import complain
from trainqueue.cli.factors import Literal
from trainqueue.cli.given import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MARK = "#TRAINQ"
MOST = 2**16
"""Bytes at the beginning of a script that are looked through."""
NOT_HERE = ("command", "as_json", "no_start", "dry_run")
"""What belongs to the one call and not to the script."""


class Scripted(click.Command):
    """A command whose first word may be a script."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if ctx.resilient_parsing else self.read_script(ctx, args))

    def read_script(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments with the script's options before them, and how it is run. Raises UsageError."""
        given, _, _ = self.make_parser(ctx).parse_args([*args])
        words: object = given.get("command")
        if not isinstance(words, tuple | list) or not words:  # click has a thing of its own for "not given"
            return args
        at = len(args) - len(words)
        if at and args[at - 1] == "--":
            return args
        if not is_script(words[0]):
            self.say_whose(words[0], words[1:])
            return args
        path = Literal(os.path.abspath(words[0]))  # noqa: PTH100  (links stay as they are)
        try:
            with Path(path).open("rb") as file:
                head = file.read(MOST)
        except OSError:
            return args  # a program that may be executed and not read
        options = [word for number, some in directives(words[0], head) for word in self.checked(words[0], number, some)]
        if not (head.strip() or options):
            complain(f"{words[0]} is empty: its job does nothing")
        self.say_whose(words[0], words[1:])
        return [*options, *args[:at], "--", *how_to_run(path, head), *words[1:]]

    def say_whose(self, program: str, words: Sequence[str]) -> None:
        """Of options of ours that stand behind the program, where no -- says that they are its own."""
        own = {option for param in self.params for option in param.opts if option.startswith("--")}
        given = takewhile(lambda word: word != "--", words)
        theirs = dict.fromkeys(option for word in given if (option := word.partition("=")[0]) in own)
        if theirs:
            verb, it = ("goes", "it") if len(theirs) == 1 else ("go", "them")
            complain(f"{', '.join(theirs)} {verb} to {program}; put {it} before {program} for trainq")

    def checked(self, script: str, number: int, words: list[str]) -> list[str]:
        """The words of one line. Raises UsageError naming it."""
        params = [param for param in self.params if param.name not in NOT_HERE]
        try:
            click.Command(None, params=params, add_help_option=False).make_context(None, [*words])
        except click.UsageError as error:
            refuse(f"{script}, line {number}: {error.format_message()}")
        return words


def is_script(word: str) -> bool:
    """Whether a file of this name is here, and no program of this name on the PATH."""
    if not os.path.isfile(word):  # noqa: PTH113  (a word may hold what no path can)
        return False
    if "/" in word:
        return True
    from shutil import which

    return which(word) is None


def directives(script: str, head: bytes) -> Iterator[tuple[int, list[str]]]:
    """(number, words) of the `#TRAINQ` lines that stand before the first line that is no comment.

    Says of others, and of what may be meant as one, that they are passed over. Raises UsageError.
    """
    if b"\0" in head:
        return  # a program
    lines, begun = head.decode(errors="surrogateescape").split("\n"), 0
    if len(head) == MOST:
        lines.pop()  # a part of one
    for number, raw in enumerate(lines, 1):
        line = raw.removesuffix("\r")
        if not begun and line.strip() and not line.startswith("#"):
            begun = number
        if (found := re.match(rf"{MARK}(?!\w)", line)) is None:
            if not begun and re.match(r"#\s*trainq\b\W*--", line, re.IGNORECASE):
                complain(f"{script}, line {number}: passed over; a line with options begins with {MARK} and a blank")
        elif begun:
            complain(f"{script}, line {number}: passed over, since a command stands before it (line {begun})")
        else:
            yield number, said(script, number, line[found.end() :])


def said(script: str, number: int, rest: str) -> list[str]:
    """The words of one such line. Raises UsageError."""
    if rest and not rest[0].isspace():
        refuse(f"{script}, line {number}: a blank stands behind {MARK}: {MARK} --gpus 2")
    try:
        return shlex.split(rest, comments=True)
    except ValueError as error:
        refuse(f"{script}, line {number}: {error}")


def how_to_run(path: str, head: bytes) -> list[str]:
    """A program by itself, a script by its #! line (also where it may not be executed), else by bash.

    Raises UsageError for what does not look like a script.
    """
    if b"\0" in head or (head.startswith(b"#!") and os.access(path, os.X_OK)):
        return [path]
    first = head.partition(b"\n")[0].decode(errors="surrogateescape").strip()
    if first.startswith("#!") and first[2:].strip():
        return [*first[2:].strip().split(None, 1), path]  # as the kernel does it: all the rest is one argument
    if path.endswith(".py"):
        refuse(f"{path} has no #! line; say what runs it: -- python {path}")
    is_meant = path.endswith((".sh", ".bash")) or MARK.encode() in head or not head.strip()
    if not (is_meant or os.access(path, os.X_OK)):
        refuse(f"{path} does not look like a script, without a #! line; if it is one, say what runs it: -- bash {path}")
    return ["bash", path]
