"""What is said where a selection finds nothing, and what that means for a script."""

from __future__ import annotations

import dataclasses
from itertools import groupby, islice
from typing import TYPE_CHECKING

from trainqueue.cli.common import NO_JOB, complain, show_json
from trainqueue.cli.select import ENDED, LIVING, RUNNING, STATES, WAITING, look

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trainqueue.cli.select import Selection
    from trainqueue.client import Client

NAMED = 5
"""Ids, or ranges of them, that a sentence names."""
THAT: dict[tuple[str, ...], str] = {
    WAITING: " that waits",
    RUNNING: " that runs",
    LIVING: " that waits or runs",
    ENDED: " that has ended",
}
MOST = 1000
"""Others that are counted."""


def nothing(trainq: Client, which: Selection, states: Sequence[str], *, document: bool) -> int:
    """Of a verb. The exit code: 4 where jobs were described that are not there.

    `--all`, `--mine` and `--state` take whatever there is, and that may be nothing: 0.
    """
    if document:
        show_json([])
    complain(f"{unmatched(trainq, which, states)}; nothing was changed")
    return code(which)


def code(which: Selection) -> int:
    return NO_JOB if which.named else 0


def unmatched(trainq: Client, which: Selection, states: Sequence[str]) -> str:
    """Why it has found nothing among the jobs in these states."""
    sought = [state for state in which.states or states if state in states]
    others = [state for state in STATES if state not in sought]
    where = THAT.get(tuple(sought), f" that is {' or '.join(sought)}") if others else ""
    if not which.named:
        return f"no job{' of yours' * which.mine}{where}"
    open_to_all = dataclasses.replace(which, states=())
    found = [*islice(look(trainq, open_to_all, others), MOST + 1)]
    if not found:
        return f"no job matches {words(which)}"
    by_state = {state: [job["id"] for job in found if job["state"] == state] for state in others}
    told = ", ".join(f"{in_ranges(sorted(ids))} {state}" for state, ids in by_state.items() if ids)
    count = f"more than {MOST}" if len(found) > MOST else str(len(found))
    return f"no job{where} matches {words(which)}; {count} other{'s do' * (len(found) > 1) or ' does'}: {told}"


def words(which: Selection) -> str:
    """As it was typed, but for --state and --all."""
    tags = (("--tag", f"{key}={value}") for key, value in (which.tag or {}).items())
    given = [("--name", which.name), *tags, ("--group", which.group), ("--lane", which.lane)]
    told = [f"{option} {quoted(value)}" for option, value in given if value is not None]
    return " ".join([*([in_ranges(which.ids)] if which.ids else []), *told, *(["--mine"] if which.mine else [])])


def quoted(text: str) -> str:
    return repr(text) if "'" in text else f"'{text}'"


def in_ranges(ids: Iterable[int]) -> str:
    """`3, 5-9`, the first few of them."""
    runs = [[job for _, job in some] for _, some in groupby(enumerate(ids), lambda pair: pair[1] - pair[0])]
    named = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:NAMED]]
    return ", ".join(named) + (", …" if len(runs) > NAMED else "")
