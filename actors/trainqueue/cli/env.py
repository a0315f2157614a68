"""The environment of a new job: captured, or a plain one; then what files and options add."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from trainqueue import capture
from trainqueue.cli.common import complain
from trainqueue.cli.demand import refuse
from trainqueue.cli.forms import Pair

ENV_OPTIONS = [
    click.option("--env", type=Pair(), multiple=True, help="On top of this environment; may be repeated."),
    click.option(
        "--env-file",
        type=click.Path(),
        multiple=True,
        help="Lines KEY=VALUE, or KEY alone for its value here; # begins a comment.",
    ),
    click.option("--clean-env", is_flag=True, help="Only HOME, USER, SHELL, PATH, LANG, TMPDIR, and what is added."),
]
LARGEST = 2**20
"""Bytes of a file of variables."""


def environment(fields: dict[str, Any]) -> dict[str, str]:
    """Takes its options out of the fields. Raises UsageError."""
    files, clean = fields.pop("env_file"), fields.pop("clean_env")
    env = plain() if clean else captured()
    for name in files:
        env |= from_file(name)
    return env | dict(fields["env"])


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
    """As `docker run --env-file` reads it: values are taken as they stand, quotes too."""
    try:
        with Path(name).open("rb") as file:
            data = file.read(LARGEST + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        refuse(f"--env-file {name}: {why}")
    if len(data) > LARGEST:
        refuse(f"--env-file {name}: it has more than {LARGEST} bytes")
    found: dict[str, str] = {}
    for at, raw in enumerate(text.splitlines(), 1):
        line = raw.lstrip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        key = key if equals else key.strip()
        if not key or any(sign.isspace() or sign == "\0" for sign in key) or "\0" in value:
            refuse(f"--env-file {name}, line {at}: {raw[:50]!a} is neither KEY=VALUE nor KEY")
        if equals:
            found[key] = value
        elif capture.is_text(os.environ.get(key, "\udcff")):
            found[key] = os.environ[key]
    return found
