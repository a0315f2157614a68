"""The copy itself: shared blocks where the file system can (reflinks), else bytes; never a hard link to a user's file.

A file that is edited in place would change under a hard link. The copy is made under another name beside its place,
brought to the disk, and only then renamed: a snapshot is whole or not there.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import secrets
import shutil
import stat
import time
from typing import TYPE_CHECKING

from trainqueue.frozen.kept import UNFINISHED
from trainqueue.frozen.listing import SnapshotError, is_in, listed
from trainqueue.removal import remove
from trainqueue.sizes import size

if TYPE_CHECKING:
    from pathlib import Path

    from trainqueue.frozen.listing import Listing
    from trainqueue.home import Home
    from trainqueue.settings import SnapshotSettings

FICLONE = 0x40049409
SPARE = 256 * 2**20
"""Bytes that a copy leaves free on the disk of the home."""
CHUNK = 2**26


class Snapshot:
    """A finished copy; `place` is what a JobSpec's `snapshot` says for a folder of the original."""

    def __init__(self, listing: Listing, folder: Path) -> None:
        self.listing, self.folder = listing, folder
        self.files = frozenset(listing.files)

    def place(self, folder: str) -> str:
        """Raises SnapshotError for a folder that is not part of it."""
        root = self.listing.root
        inner = os.path.relpath(folder if is_in(folder, root) else os.path.realpath(folder), root)
        if inner == ".":
            return str(self.folder)
        if inner not in self.listing.folders:
            msg = f"the snapshot of {self.listing.root} has no folder {folder}; nothing was queued"
            raise SnapshotError(msg)
        return f"{self.folder}/{inner}"

    def drop(self) -> None:
        """No job has come of it."""
        with contextlib.suppress(OSError):
            remove(self.folder)


def freeze(folder: str, home: Home, limits: SnapshotSettings) -> Snapshot:
    """A snapshot of what belongs to `folder`. Raises SnapshotError, GitError, with nothing left of it."""
    try:
        listing = listed(folder, str(home.path), limits)
    except OSError as error:
        msg = f"cannot look through {folder}: {error.strerror}: {error.filename}. No snapshot was made, nothing queued"
        raise SnapshotError(msg) from error
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
    unfinished = home.snapshots / f"{UNFINISHED}{name}"
    try:
        home.snapshots.mkdir(mode=0o700, exist_ok=True)
        unfinished.mkdir(mode=0o700)
        Copier(listing, str(unfinished)).run()
        synced(unfinished)
        unfinished.rename(home.snapshots / name)
        synced(home.snapshots, whole=False)
    except BaseException as error:
        with contextlib.suppress(OSError):
            remove(unfinished)
        if isinstance(error, OSError):
            where = f": {error.filename}" if error.filename else ""
            msg = f"cannot make a snapshot of {listing.root}: {error.strerror}{where}. Nothing was queued"
            raise SnapshotError(msg) from error
        raise
    return Snapshot(listing, home.snapshots / name)


def synced(folder: Path, *, whole: bool = True) -> None:
    """To the disk: the folder's names, and before that (`whole`) all that its file system has not written yet."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if whole and ctypes.CDLL(None, use_errno=True).syncfs(
            fd
        ):  # one call, where each file's fsync would take minutes
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
        os.fsync(fd)
    finally:
        os.close(fd)


class Copier:
    """One listing into one empty folder."""

    def __init__(self, listing: Listing, target: str) -> None:
        self.listing, self.target = listing, target
        self.real = os.path.realpath(listing.root)
        self.reflinks = True
        self.left = listing.bytes
        """Bytes that are still to be copied."""

    def run(self) -> None:
        """Raises OSError, SnapshotError."""
        for name in self.listing.folders:
            os.mkdir(f"{self.target}/{name}", 0o700)  # noqa: PTH102  (text)
        for name in self.listing.files:
            self._file(name)
        for name in self.listing.links:
            os.symlink(self._pointed(name), f"{self.target}/{name}")  # noqa: PTH211
        for name in reversed(self.listing.folders):
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(f"{self.listing.root}/{name}")
                os.chmod(f"{self.target}/{name}", status.st_mode & 0o777 | 0o700)  # noqa: PTH101
                os.utime(f"{self.target}/{name}", ns=(status.st_atime_ns, status.st_mtime_ns))

    def _file(self, name: str) -> None:
        try:
            source = os.open(f"{self.listing.root}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # since it was listed
        with open(source, "rb", buffering=0) as original:  # noqa: PTH123  (a descriptor)
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode):
                msg = f"{self.listing.root}/{name} has just been replaced; try again. Nothing was queued"
                raise SnapshotError(msg)
            with open(f"{self.target}/{name}", "xb", buffering=0) as copy:  # noqa: PTH123
                if status.st_size and not self._reflinked(source, copy.fileno()):
                    self._refuse_if_full()
                    if not copied_inside(source, copy.fileno(), status.st_size):
                        shutil.copyfileobj(original, copy, 2**20)
                os.fchmod(copy.fileno(), status.st_mode & 0o777)
                os.utime(copy.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
        self.left -= status.st_size

    def _reflinked(self, source: int, copy: int) -> bool:
        if self.reflinks:
            try:
                fcntl.ioctl(copy, FICLONE, source)
            except OSError:
                self.reflinks = False
        return self.reflinks

    def _refuse_if_full(self) -> None:
        """The daemon and its jobs live on that disk. Raises SnapshotError."""
        disk = os.statvfs(self.target)
        free = disk.f_bavail * disk.f_frsize
        if self.left > free - min(SPARE, disk.f_blocks * disk.f_frsize // 10):
            msg = f"a snapshot of {self.listing.root} takes {size(self.left)} more, and the disk of {self.target} has"
            msg += f" {size(free)} left. Nothing was queued; make room, or have git ignore what the code does not need"
            raise SnapshotError(msg)

    def _pointed(self, name: str) -> str:
        """Where the link points in the copy: inside to the copy, outside to where it did."""
        root, goal = self.listing.root, os.readlink(f"{self.listing.root}/{name}")  # noqa: PTH115
        folder = os.path.dirname(name)  # noqa: PTH120
        absolute = os.path.normpath(os.path.join(root, folder, goal))  # noqa: PTH118
        for base in (root, self.real):
            if is_in(absolute, base):
                if not goal.startswith("/"):
                    return goal
                return os.path.relpath(absolute, f"{base}/{folder}")
        return goal if goal.startswith("/") else absolute


def copied_inside(source: int, copy: int, count: int) -> bool:
    """By the kernel, which may share blocks; False where it cannot, with nothing copied."""
    at = 0
    while at < count:
        try:
            done = os.copy_file_range(source, copy, min(count - at, CHUNK))
        except OSError:
            if at:
                raise
            return False
        if not done:
            return at > 0  # it has been cut since; or, at its beginning, a file system that only says so
        at += done
    return True
