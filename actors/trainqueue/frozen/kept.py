"""Snapshots as the daemon knows them: folders in its home, each kept while a record of a job names it."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Any

from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from trainqueue.core.spec import JobSpec
    from trainqueue.home import Home

NAME = r"\d{8}-\d{6}-[0-9a-f]{8}"
UNFINISHED, UNUSED = ".new-", ".old-"
"""How the names begin of what a submitter is still copying, and of what is to be removed."""
UNNAMED = 3600.0
"""Seconds for which a snapshot may lie there before a job names it: its submitter is about to."""
SOME = 200
"""Names that are looked at in one step."""


def name_of(path: str | None) -> str | None:
    """Of the snapshot, for a path in one."""
    found = None if path is None else re.match(rf".*/snapshots/({NAME})(?:/|$)", path, re.DOTALL)
    return None if found is None else found[1]


def around(home: Home, folder: str) -> str | None:
    """The folder as one in a snapshot of this home, if it is in one: who submits from there wants it kept."""
    real, own = os.path.realpath(folder), os.path.realpath(home.snapshots)
    if not real.startswith(own + "/"):
        return None
    found = str(home.snapshots) + real.removeprefix(own)
    return None if name_of(found) is None else found


def marks(home: Home, spec: JobSpec) -> dict[str, str]:
    """What a job that runs in one finds in its environment."""
    name = name_of(spec.snapshot)
    if spec.snapshot is None or name is None:
        return {}
    where = {"TRAINQ_SNAPSHOT": str(home.snapshots / name), "TRAINQ_SUBMIT_DIR": spec.cwd}
    return where | ({"PWD": spec.snapshot} if "PWD" in (spec.env or {}) else {})  # believed by shells and some tools


def refuse_strangers(home: Home, specs: Iterable[JobSpec], where: Callable[[int], str]) -> None:
    """Raises RequestError naming the field, for what is no snapshot of this home."""
    sound = set[str]()
    for at, spec in enumerate(specs):
        if spec.snapshot is not None and spec.snapshot not in sound:
            refuse_stranger(home, spec.snapshot, where(at))
            sound.add(spec.snapshot)


def refuse_edit(home: Home, spec: JobSpec, changes: dict[str, Any]) -> None:
    """`spec`: as the job would be. Raises RequestError naming the field."""
    if spec.snapshot is not None and "cwd" in changes and "snapshot" not in changes:
        raise RequestError("bad-request", "$.set.cwd: the job runs in its snapshot, wherever cwd is; set snapshot, too")
    refuse_strangers(home, [spec], lambda _: "$.set")


def refuse_stranger(home: Home, path: str, where: str) -> None:
    names = path.removeprefix(f"{home.snapshots}/").split("/")
    if not path.startswith(f"{home.snapshots}/") or {"", ".", ".."} & {*names} or name_of(path) != names[0]:
        raise RequestError("bad-request", f"{where}.snapshot: must be a folder in {home.snapshots}")
    root = os.path.realpath(home.snapshots / names[0])
    real = os.path.realpath(path)
    if not os.path.isdir(path) or not (real == root or real.startswith(root + "/")):  # noqa: PTH112  (text)
        raise RequestError("bad-request", f"{where}.snapshot: there is no folder {path[:200]}")


class Seen:
    """For how long the janitor has seen each name; clocks may jump, and a fresh copy must not seem old."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._behind = ""

    def old(self, folder: Path) -> list[str]:
        """Some of those that are there for long, in turn; all that is given up already. Raises OSError."""
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208  (text)
        except FileNotFoundError:
            return []
        now = time.monotonic()
        self._seen = {name: self._seen.get(name, now) for name in names}
        ripe = [name for name in names if name.startswith(UNUSED) or now - self._seen[name] >= UNNAMED]
        some = [name for name in ripe if name > self._behind][:SOME]
        self._behind = some[-1] if len(some) == SOME else ""
        return some


def give_up(home: Home, names: Iterable[str], used: Callable[[str], bool]) -> list[str]:
    """Those that no job names, by the names under which the janitor is to remove them.

    Called by the arbiter, which also takes new jobs: from the renaming on no job can name them any more.
    """
    given = list[str]()
    for name in names:
        if name.startswith(UNUSED):
            given.append(name)
        elif name.startswith(UNFINISHED) or not used(name):
            try:
                (home.snapshots / name).rename(home.snapshots / f"{UNUSED}{name}")
            except OSError:
                continue  # tried again in the next round
            given.append(f"{UNUSED}{name}")
    return given
