"""A job as TOML for an editor, each field with what it means, and what was changed there."""

from __future__ import annotations

import json
import tomllib
from typing import Any

from trainqueue.capture import is_text
from trainqueue.cli.fields import FIELDS, form
from trainqueue.cli.values import from_document, unknown

BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def known_fields() -> list[str]:
    """All but the environment, which is never told."""
    return [name for name, field in FIELDS.items() if field.meaning]


def written(job: dict[str, Any], heading: str) -> str:
    """Fields that are not set stand there as comments."""
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    lines += ["# A line that is removed, or made a comment, sets its field back to what it is without one.", ""]
    for field in known_fields():
        value, said = job.get(field), f"  # {FIELDS[field].meaning}"
        unset = value is None or value in ([], {}, ()) or (field == "name" and value == " ".join(job["command"])[:80])
        lines.append(f"# {field} ={said}" if unset else f"{field} = {toml(form(field).give(value))}{said}")
    return "\n".join(lines) + "\n"


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key(name)} = {toml(entry)}" for name, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return repr(value)


def quoted(text: str) -> str:
    """JSON's escapes are TOML's, but for one character that JSON lets pass."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def key(name: str) -> str:
    return name if name and BARE.issuperset(name) else quoted(name)


def read(text: str, before: dict[str, Any]) -> dict[str, Any]:
    """The changed fields. Raises ValueError with a sentence."""
    refuse_bytes(text)
    try:
        after = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        msg = f"this is no TOML: {error}"
        raise ValueError(msg) from None
    wrong = next((field for field in after if field not in FIELDS), None)
    if wrong is not None:
        raise ValueError(unknown(wrong))
    old = tomllib.loads(written(before, ""))
    changed = [field for field in {**old, **after} if old.get(field) != after.get(field)]
    return {field: from_document(field, after.get(field, "")) for field in FIELDS if field in changed}


def refuse_bytes(text: str) -> None:
    """Raises ValueError where it is not UTF-8."""
    for number, line in enumerate(text.splitlines(), 1):
        if not is_text(line):
            msg = f"line {number} is not UTF-8: {line[:50]!a}; save it as UTF-8"
            raise ValueError(msg)
