"""The environment of a new job: captured, or a plain one; then what files and options add."""

from __future__ import annotations

import os
import re
from typing import Any

import click

from trainqueue import capture
from trainqueue.cli.common import complain
from trainqueue.cli.forms import Pair
from trainqueue.cli.given import refuse, text_of

ENV_OPTIONS = [
    click.option("--env", type=Pair(), multiple=True, help="On top of this environment; may be repeated."),
    click.option(
        "--env-file",
        type=click.Path(),
        multiple=True,
        help="Lines KEY=VALUE (quotes and `export ` are taken off), or KEY alone for its value here; # is a comment.",
    ),
    click.option("--clean-env", is_flag=True, help="Only HOME, USER, SHELL, PATH, LANG, TMPDIR, and what is added."),
]
LARGEST = 2**20
"""Bytes of a file of variables."""
EXPORT = re.compile(r"^export[ \t]+")
QUOTED = re.compile(r"""(?:'([^']*)'|"((?:[^"\\]|\\.)*)")[ \t]*(?:#.*)?""")
ESCAPED, ESCAPES = re.compile(r'\\(["\\$`nrt])'), {"n": "\n", "r": "\r", "t": "\t"}
"""Within double quotes; a backslash before anything else is one."""


def environment(fields: dict[str, Any]) -> dict[str, str]:
    """Takes its options out of the fields. Raises UsageError."""
    files, clean = fields.pop("env_file"), fields.pop("clean_env")
    env = plain() if clean else captured()
    for name in files:
        env |= from_file(name)
    env |= dict(fields["env"])
    say_ours({*dict(fields["env"])})
    return env


def say_ours(given: set[str]) -> None:
    """Of variables that trainq sets itself, whatever somebody gives."""
    ours = sorted(given & {*capture.MARKS, *capture.DEVICES})
    if ours:
        gpus = "; --gpu 0,2 chooses GPUs" if "CUDA_VISIBLE_DEVICES" in ours else ""
        complain(f"{', '.join(ours)}: trainq sets this for each job, in place of what is given here{gpus}")


def plain() -> dict[str, str]:
    from trainqueue import user

    return {name: value for name, value in user.plain_environment().items() if capture.is_text(name + value)}


def captured() -> dict[str, str]:
    """Of this process, as far as the settings allow it."""
    env, odd = capture.environment()
    if odd:
        complain(f"not UTF-8, so left out of the job's environment: {', '.join(map(ascii, odd))}")
    if not capture.has_settings():
        return env  # most people have none, and to read them takes a while
    from trainqueue.settings import load

    chosen = load().environment
    return {name: value for name, value in env.items() if chosen.lets_through(name)}


def from_file(name: str) -> dict[str, str]:
    """The variables of a file in the form of `.env`. Raises UsageError naming the line."""
    text = text_of("--env-file", name, LARGEST, f"{LARGEST} bytes")
    found: dict[str, str] = {}
    for at, line in enumerate(text.split("\n"), 1):
        try:
            some = variable(line.removesuffix("\r"))
            found |= {key: value for key, value in some.items() if value is not None}
            for key in some.keys() - found.keys():
                complain(f"--env-file {name}, line {at}: {key} is not set here, so the job does not get it")
        except ValueError as error:
            refuse(f"--env-file {name}, line {at}: {error}")
    return found


def variable(line: str) -> dict[str, str | None]:
    """What a line says, if anything: `KEY=VALUE`, `export KEY=VALUE`, `KEY` (None: not set). Raises ValueError."""
    text = line.lstrip()
    if not text or text.startswith("#"):
        return {}
    key, equals, value = EXPORT.sub("", text).partition("=")
    key = key if equals else key.strip()
    if not key or any(sign.isspace() or sign == "\0" for sign in key) or "\0" in value:
        msg = f"{line[:50]!a} is neither KEY=VALUE nor KEY"
        raise ValueError(msg)
    if equals:
        return {key: unquoted(key, value)}
    return {key: os.environ[key] if capture.is_text(os.environ.get(key, "\udcff")) else None}


def unquoted(key: str, value: str) -> str:
    """A whole value in quotes loses them, as in a shell; any other is taken as it stands, ` #` and `$` included.

    Raises ValueError.
    """
    if not value.startswith(("'", '"')):
        return value
    match = QUOTED.fullmatch(value)
    if match is None:
        msg = f"the value of {key} begins a quote that does not end it; put all of it into one pair: '...' or \"...\""
        raise ValueError(msg)
    if match[1] is not None:
        return match[1]
    return ESCAPED.sub(lambda found: ESCAPES.get(found[1], found[1]), match[2])
