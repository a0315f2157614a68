"""What a snapshot of a folder would hold: of a working tree of git what git does not ignore, else all of the folder.

Everything is counted before anything is copied, and too much is refused with what takes the room.
"""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trainqueue.errors import TrainqError
from trainqueue.frozen import git
from trainqueue.sizes import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.settings import SnapshotSettings

PATIENCE = 2.0
"""Seconds for which what is too much already is counted on, to say how much."""
LARGEST = 3
"""Parts that are named."""
KINDS = {stat.S_IFSOCK: "a socket", stat.S_IFIFO: "a pipe", stat.S_IFBLK: "a device", stat.S_IFCHR: "a device"}


class SnapshotError(TrainqError):
    """No snapshot was made, and nothing is left of it; says what to do."""


@dataclass(slots=True)
class Listing:
    """Paths below `root`: of files, links and folders (each behind the one it is in), and of what no copy can be of."""

    root: str
    tree: bool
    """Whether git has said what belongs to it."""
    files: list[str] = field(default_factory=list[str])
    links: list[str] = field(default_factory=list[str])
    folders: dict[str, None] = field(default_factory=dict[str, None])
    odd: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    bytes: int = 0

    @property
    def count(self) -> int:
        return len(self.files) + len(self.links) + len(self.folders)


def listed(folder: str, home: str, limits: SnapshotSettings) -> Listing:
    """What belongs to `folder`, an absolute path, without trainq's own home.

    Raises SnapshotError, GitError, OSError.
    """
    if git.root(folder) is None and git.root(os.path.realpath(folder)) is not None:
        folder = os.path.realpath(folder)  # reached by a link that points into a working tree
    tree = git.root(folder)
    found = Listing(tree or folder, tree is not None)
    names = below_git(found.root) if tree else below(found.root, "")
    own = inside(os.path.realpath(found.root), os.path.realpath(home))
    parts = Counter[str]()
    ends: float | None = None
    for name in names:
        if own is not None and is_in(name, own):
            continue
        try:
            status = os.lstat(f"{found.root}/{name}")
        except FileNotFoundError:
            continue  # deleted, and not told to git yet; or just now
        before = found.bytes
        note(found, name, status)
        parts[name.partition("/")[0]] += found.bytes - before
        if found.bytes > limits.max_bytes or found.count > limits.max_files:
            ends = ends or time.monotonic() + PATIENCE
            if time.monotonic() > ends:
                raise SnapshotError(too_much(found, limits, parts, "more than "))
    if ends is not None:
        raise SnapshotError(too_much(found, limits, parts, ""))
    refuse_ignored(found, folder)
    return found


def inside(root: str, home: str) -> str | None:
    """Where trainq's home is below the root, which must not be the home. Raises SnapshotError."""
    if home == root:
        msg = f"{root} is trainq's own home, and no folder with code; submit from another folder (--cwd)"
        raise SnapshotError(msg)
    return home.removeprefix(root.rstrip("/") + "/") if is_in(home, root) else None


def is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def note(found: Listing, name: str, status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind in KINDS:
        found.odd.append((name, KINDS[kind]))
        return
    if kind == stat.S_IFDIR:
        enclose(found, name)
        return
    enclose(found, name.rpartition("/")[0])
    if kind == stat.S_IFLNK:
        found.links.append(name)
    else:
        found.files.append(name)
        found.bytes += status.st_size


def enclose(found: Listing, folder: str) -> None:
    """The folder, and those that it is in before it."""
    if folder and folder not in found.folders:
        enclose(found, folder.rpartition("/")[0])
        found.folders[folder] = None


def below(root: str, inner: str) -> Iterator[str]:
    """All there is. Raises OSError for a folder that may not be read."""
    waiting = [inner]
    while waiting:
        inner = waiting.pop()
        with os.scandir(f"{root}/{inner}") as entries:
            for entry in entries:
                name = f"{inner}/{entry.name}" if inner else entry.name
                yield name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)


def below_git(tree: str, inner: str = "") -> Iterator[str]:
    """What git does not ignore, in submodules and other working trees inside as well. Raises GitError."""
    here = f"{tree}/{inner}" if inner else tree
    for name in git.paths(here, git.WANTED):
        path = f"{inner}/{name}" if inner else name
        yield path
        if os.path.isdir(f"{here}/{name}") and not os.path.islink(f"{here}/{name}"):  # noqa: PTH112, PTH114  (text)
            if os.path.lexists(f"{here}/{name}/.git"):
                yield from below_git(tree, path)
            else:
                yield from below(tree, path)  # a submodule that nobody has checked out


def refuse_ignored(found: Listing, folder: str) -> None:
    """A job cannot run in a folder that git leaves out. Raises SnapshotError."""
    inner = os.path.relpath(folder, found.root)
    if inner == "." or inner in found.folders:
        return
    if os.listdir(folder):  # noqa: PTH208  (text)
        msg = (
            f"git ignores all that is in {folder}, so a snapshot would not have it; submit from another folder (--cwd)"
        )
        raise SnapshotError(msg)
    enclose(found, inner)


def too_much(found: Listing, limits: SnapshotSettings, parts: Counter[str], more: str) -> str:
    large = ", ".join(f"{name} ({size(room)})" for name, room in parts.most_common(LARGEST))
    here = "have git ignore what the code does not need (.gitignore)"
    if not found.tree:
        here = (
            "submit from the folder with the code (--cwd), or make it a working tree of git, which can ignore the rest"
        )
    return (
        f"{found.root} has {more}{found.count} files and folders, {size(found.bytes)}, and a snapshot at most"
        f" {limits.max_files} and {size(limits.max_bytes)} (settings [snapshot]). The largest: {large}."
        f" Nothing was copied and nothing queued; {here}, or raise the settings"
    )
