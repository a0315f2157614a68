"""`submit --snapshot`: the copy is made when all else is right, and goes again when the daemon refuses the jobs."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from trainqueue.cli.common import complain
from trainqueue.cli.factors import Literal
from trainqueue.errors import RequestError
from trainqueue.frozen.copying import freeze
from trainqueue.frozen.git import root

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from trainqueue.client import Client
    from trainqueue.frozen.copying import Snapshot

NAMED = 3
"""Names that a warning tells."""
OUTPUTS = (
    "what the job writes to relative paths lies in its snapshot and is removed with it; "
    "in the job $TRAINQ_SUBMIT_DIR is this folder"
)


@contextlib.contextmanager
def frozen(trainq: Client, jobs: list[dict[str, Any]], defaults: dict[str, Any]) -> Generator[None]:
    """One snapshot for all of them, whatever folder of the tree each runs in. Raises SnapshotError, DaemonError."""
    from trainqueue.settings import load

    limits = load().snapshot
    trainq.ping()
    folders = [*dict.fromkeys(job.get("cwd") or defaults["cwd"] for job in jobs)]
    top = None if len(folders) == 1 else root(folders[0])
    made = freeze(top or folders[0], trainq.home, limits)
    try:
        places = {folder: made.place(folder) for folder in folders}
        for job in jobs:
            folder = job.get("cwd") or defaults["cwd"]
            job["snapshot"] = places[folder]
            job["command"] = from_copy(made, folder, job["command"])
        warn(made, jobs, defaults)
    except BaseException:
        made.drop()
        raise
    try:
        yield
    except RequestError as error:
        if error.code != "internal":  # else nobody knows what became of the jobs, and retention does what is right
            made.drop()
        raise


def from_copy(made: Snapshot, folder: str, command: Sequence[str]) -> list[str]:
    """A script that `submit` has found by itself is run as it was frozen, like all else."""
    root = os.path.realpath(made.listing.root)
    scripts = [word for word in command if isinstance(word, Literal)]
    inside = {word for word in scripts if os.path.relpath(os.path.realpath(word), root) in made.files}
    return [f"./{os.path.relpath(word, folder)}" if word in inside else word for word in command]


def warn(made: Snapshot, jobs: list[dict[str, Any]], defaults: dict[str, Any]) -> None:
    """Of what is not as people may expect."""
    complain(OUTPUTS)
    if made.listing.odd:
        some = ", ".join(f"{name} ({kind})" for name, kind in made.listing.odd[:NAMED])
        complain(f"left out of the snapshot: {some}{more(made.listing.odd)}")
    start = made.listing.root.rstrip("/") + "/"
    words = dict.fromkeys(word for job in jobs for word in job.get("command") or defaults["command"])
    outside = [word for word in words if word.startswith(start)]
    if outside:
        verb = "points" if len(outside) == 1 else "point"
        named = ", ".join(outside[:NAMED]) + more(outside)
        complain(f"{named} {verb} into the folder itself, not into its snapshot; use a relative path")


def more(some: Sequence[object]) -> str:
    return f" and {len(some) - NAMED} more" if len(some) > NAMED else ""
