"""Removing a folder whatever a job has put into it: as deep as it likes, and without the permissions to remove it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(folder: Path) -> OSError | None:
    """All that can be removed of it; why the rest is left, None when nothing is.

    Goes up by "..", so that neither the depth nor the length of a path counts; follows no link.
    """
    found: list[OSError] = []
    here = os.open(folder.parent, FOLDER)
    above: list[tuple[str, list[str], tuple[int, int]]] = []
    """On the way down to `here`: each folder's name, what is still to be done beside it, and where that was."""
    waiting = [folder.name]
    try:
        while waiting or above:
            if waiting:
                name = waiting.pop()
                with noted(found):
                    inner = enter(here, name)
                    above.append((name, waiting, place(here)))
                    os.close(here)
                    here = inner
                    waiting = empty(here, found)
            else:
                name, waiting, known = above.pop()
                here = leave(here, known)
                with noted(found):
                    os.rmdir(name, dir_fd=here)
    except OSError as error:  # somebody moves what we walk through
        found.append(error)
    finally:
        os.close(here)
    return found[0] if found else None


@contextlib.contextmanager
def noted(found: list[OSError]) -> Generator[None]:
    """The removal goes on beside what fails; what is gone already is as it should be."""
    try:
        yield
    except FileNotFoundError:
        pass
    except OSError as error:
        found.append(error)


def enter(here: int, name: str) -> int:
    """Opened, with all permissions where it is ours."""
    try:
        inner = os.open(name, FOLDER, dir_fd=here)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=here)
        inner = os.open(name, FOLDER, dir_fd=here)
    with contextlib.suppress(PermissionError):
        os.fchmod(inner, 0o700)
    return inner


def empty(here: int, found: list[OSError]) -> list[str]:
    """Of all but its folders, whose names are returned."""
    with os.scandir(here) as entries:
        listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in listed:
        if not is_folder:
            with noted(found):
                os.unlink(name, dir_fd=here)
    return [name for name, is_folder in listed if is_folder]


def leave(here: int, known: tuple[int, int]) -> int:
    """The folder above, which is the one that we came from. Raises OSError."""
    outer = os.open("..", FOLDER, dir_fd=here)
    if place(outer) != known:
        os.close(outer)
        msg = "it was moved while it was removed"
        raise OSError(msg)
    os.close(here)
    return outer


def place(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
