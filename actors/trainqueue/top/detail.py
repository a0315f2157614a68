"""A job in full, as `trainq-cli status ID` tells it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainqueue.cli.fields import applies
from trainqueue.cli.onejob import shown, tells, tried
from trainqueue.cli.screen import folded
from trainqueue.core.forewords import left, starts
from trainqueue.top.drawn import Line, clean, part

if TYPE_CHECKING:
    from trainqueue.top.world import JobMap

LEFT_OUT = ("expected_start_range", "expected_end_range")
MOST = 200
"""Lines of one field."""


def detail_lines(full: dict[str, Any] | None, job: JobMap | None, width: int, now: float) -> list[Line]:
    """`full` is what `status` has answered, once it is here; `job` what is known since."""
    if full is None and job is None:
        return [(("This job is not known any more.", "warn"),)]
    told = {**(full or {}).get("job", {}), **(job or {})}
    lines: list[Line] = [((f"Job {told['id']}  ", "bold"), (clean(told["name"]), "bold")), ()]
    soon = starts(told, now) or left(told, now)
    facts: list[tuple[str, object]] = [("expected", soon)] if soon else []
    for name, value in told.items():
        if name not in LEFT_OUT and tells(value) and applies(name, told):
            facts.append((name, shown(name, value)))
    attempts = (full or {}).get("attempts") or []
    if len(attempts) > 1:
        facts += [(f"attempt {one['attempt']}", tried(one)) for one in attempts]
    facts += [("env", f"{name}={value}") for name, value in ((full or {}).get("env") or {}).items()]
    for name, fact in facts:
        lines += fact_lines(name, str(fact), width)
    return lines


def fact_lines(name: str, fact: str, width: int) -> list[Line]:
    """Folded, the name in front of the first line."""
    names = min(16, max(8, width // 4))
    pieces = [fact[at : at + 400] for at in range(0, min(len(fact), 40_000), 400)] or [""]
    below = [line for piece in pieces for line in folded(clean(piece), max(8, width - names - 2))]
    return [
        (part("" if at else name, names, "dim"), (" ", ""), (text, "")) for at, text in enumerate(below[:MOST]) if fact
    ]
