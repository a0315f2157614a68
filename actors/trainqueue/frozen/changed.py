"""Code that was not frozen: which files that git tracks have been written since a job was submitted."""

from __future__ import annotations

import math
import os
import subprocess
import time
from typing import TYPE_CHECKING

from trainqueue.frozen import git

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE = 0.3
"""Seconds that the look may take; a `status` must not wait for a slow disk."""


def between(folder: str, at: float, until: float = math.inf) -> list[str] | None:
    """Their paths below the working tree of `folder`; None where there is none, or it does not tell in time.

    By the time of the last change of any kind (ctime), which no tool sets back. What has been deleted counts, if its
    folder has changed since. With `until`, only those of which that is sure: what has been changed again since is not
    among them.
    """
    ends = time.monotonic() + PATIENCE
    tree = git.root(folder) or git.root(os.path.realpath(folder))
    if tree is None:
        return None
    try:
        names = [*git.paths(tree, git.TRACKED, timeout=PATIENCE)]
    except (git.GitError, subprocess.TimeoutExpired, OSError):
        return None
    return written(tree, names, ends, at, until)


def written(tree: str, names: Iterable[str], ends: float, at: float, until: float = math.inf) -> list[str] | None:
    found = list[str]()
    for name in names:
        if time.monotonic() > ends:
            return found or None
        try:
            if at < os.lstat(f"{tree}/{name}").st_ctime <= until:
                found.append(name)
        except OSError:
            if folder_changed(f"{tree}/{name}", at, until):
                found.append(name)
    return found


def folder_changed(path: str, at: float, until: float) -> bool:
    """Of the innermost folder that is still there."""
    while (path := os.path.dirname(path)) != "/":  # noqa: PTH120  (text)
        try:
            return at < os.lstat(path).st_ctime <= until
        except OSError:
            continue
    return False
