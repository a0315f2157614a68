"""What git says of a working tree. It only reads: no hook, no lock, no variable of somebody else's git."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from trainqueue.errors import TrainqError

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACKED = ("ls-files", "-z", "--cached")
WANTED = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
"""Also what is not tracked and not ignored."""


class GitError(TrainqError):
    """Git is missing, or refuses; says why in its words."""


def root(folder: str) -> str | None:
    """The working tree that it is in, as the submitter names it; None without one."""
    here = folder
    while True:
        if os.path.lexists(f"{here}/.git"):
            return here
        above = os.path.dirname(here)  # noqa: PTH120  (text, and links are not followed)
        if above == here:
            return None
        here = above


def ask(tree: str, *words: str, timeout: float | None = None) -> bytes:
    """Its answer. Raises GitError; subprocess.TimeoutExpired after so many seconds."""
    program = shutil.which("git")
    if program is None:
        msg = f"{tree} is a working tree of git, and no program git is found"
        raise GitError(msg)
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        [program, "-c", "core.fsmonitor=false", *words],
        cwd=tree,
        env={**env, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())
        msg = f"git does not tell which files belong to {tree}: {said[:300] or f'exit code {done.returncode}'}"
        raise GitError(msg)
    return done.stdout


def paths(tree: str, words: tuple[str, ...], timeout: float | None = None) -> Iterator[str]:
    """Below the tree, each once; some may not exist. Raises as `ask`."""
    for name in dict.fromkeys(ask(tree, *words, timeout=timeout).split(b"\0")):
        if name:
            yield os.fsdecode(name).rstrip("/")  # a repository inside, which has its own files
