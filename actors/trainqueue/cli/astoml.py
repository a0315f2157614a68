"""A job as TOML for an editor, each field with what it means, and what was changed there."""

from __future__ import annotations

import json
import time
import tomllib
from typing import Any

from trainqueue.cli.values import FORMS

MEANINGS: dict[str, str] = {
    "name": "for people",
    "command": "program and arguments",
    "cwd": "working folder",
    "umask": "of the files that it makes",
    "gpus": "so many; 0: it needs none",
    "gpu_memory": 'to share its GPUs: bytes of each, "8GiB" or "auto"',
    "gpu_from": 'only these: indices or UUIDs, [0, 2] or ["GPU-8d3f"]',
    "gpu_name": 'only with this in their name: "H100"',
    "gpu_min_memory": 'only with so much in all: "40GiB"',
    "priority": '"low", "normal", "high" or a number; higher first',
    "after": "starts after these have completed: [3, 4]",
    "after_any": "starts after these have ended, however",
    "after_failed": "starts after these have failed or are lost",
    "after_group": 'starts after all jobs of these groups have completed: ["sweep1"]',
    "keep": "held, not cancelled, when one of those can no longer come true",
    "not_before": '"18:00" (the next), "2h" or "2026-12-24 18:00"',
    "hold": "not started until released",
    "time_limit": 'ended after so long: "4h"',
    "grace": 'between SIGTERM and SIGKILL: "30s"',
    "warn": 'SIGUSR1 so long before the time limit or a preemption: "5m"',
    "retries": "how often after which cause: {exit = 2, reboot = 1}",
    "retry_delay": 'before the first retry: "30s"',
    "retry_backoff": "each further one waits so many times as long",
    "retry_place": '"front" or "back" of its priority',
    "resume_args": "appended to the command from the second attempt on",
    "stall_timeout": 'it counts as stalled after doing nothing for so long: "30m"',
    "stall_action": '"warn" or "stop"',
    "memory_limit": 'of the machine\'s memory: "32GiB"',
    "tags": 'for selecting: {set = "a"}',
    "group": "for selecting, and for what waits for all of it",
    "max_running": "so many jobs of its group run at a time",
    "lane": "the named queue that it waits in",
    "snapshot": "the folder with the frozen copy of its code",
}
DURATIONS = ("time_limit", "grace", "warn", "retry_delay", "stall_timeout")
SIZES = ("gpu_memory", "gpu_min_memory", "memory_limit")
BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def known_fields() -> list[str]:
    """Those of a JobSpec, the ones we have words for first; the environment, which is never told, left out."""
    from trainqueue.core.spec import JobSpec

    fields = [*JobSpec.__struct_fields__]
    return [field for field in [*MEANINGS, *(set(fields) - MEANINGS.keys())] if field in fields and told(field)]


def told(field: str) -> bool:
    return not field.startswith("env")


def written(job: dict[str, Any], heading: str) -> str:
    """Fields that are not set stand there as comments."""
    lines = [f"# {line}".rstrip() for line in heading.splitlines()]
    lines += ["# A line that is removed, or made a comment, sets its field back to what it is without one.", ""]
    for field in known_fields():
        value = job.get(field)
        meaning = MEANINGS.get(field, "")
        said = f"  # {meaning}" if meaning else ""
        unset = value is None or value in ([], {}, ()) or (field == "name" and value == " ".join(job["command"])[:80])
        text = "" if unset else f"0o{value:03o}" if field == "umask" else toml(readable(field, value))
        lines.append(f"# {field} ={said}" if unset else f"{field} = {text}{said}")
    return "\n".join(lines) + "\n"


def readable(field: str, value: Any) -> Any:
    """As people write it, where that says exactly the same."""
    text = None
    if field in DURATIONS:
        text = duration(value)
    elif field in SIZES and isinstance(value, int):
        unit, name = next(((unit, name) for unit, name in UNITS if value % unit == 0 and value >= unit), (0, ""))
        text = f"{value // unit}{name}" if unit else None
    elif field == "not_before":
        text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))
        return text if same_moment(text, value) else value
    return text if text is not None and FORMS[field].read(text) == value else value


UNITS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def same_moment(text: str, value: float) -> bool:
    """An hour that the clock shows twice, or a fraction of a second, is not said by the text."""
    from trainqueue.cli.forms import date_time

    return date_time(text) == value


def duration(seconds: float) -> str | None:
    """1h30m; None where it is no whole number of seconds."""
    if seconds != int(seconds):
        return None
    rest, found = int(seconds), ""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, rest = divmod(rest, unit)
        found += f"{count}{name}" if count else ""
    return found or "0s"


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
    from trainqueue.cli.values import read_value

    fields = known_fields()
    try:
        after = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"this is no TOML: {error}"
        raise ValueError(msg) from None
    unknown = next((field for field in after if field not in fields and not field.startswith("env")), None)
    if unknown is not None:
        msg = f"there is no field {unknown!r}; fields are {', '.join(fields)}"
        raise ValueError(msg)
    old = tomllib.loads(written(before, ""))
    changed = [field for field in {**old, **after} if old.get(field) != after.get(field)]
    return {
        field: read_value(field, after[field]) if field in after else default(field)
        for field in [*fields, *after]
        if field in changed
    }


def default(field: str) -> Any:
    import msgspec

    from trainqueue.core.spec import JobSpec

    found = next(known for known in msgspec.structs.fields(JobSpec) if known.name == field)
    if found.required:
        msg = f"{field} is needed"
        raise ValueError(msg)
    made = found.default_factory() if found.default is msgspec.NODEFAULT else found.default
    return [] if made == () else made
