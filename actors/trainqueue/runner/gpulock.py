"""One lock a GPU for all queues of this machine, so that two of them (other homes, other users) never start on it.

The driver shows another queue's job only once it holds memory, which may be minutes after its start. A runner takes the
lock before it starts its job and gives it back when nothing of the job lives; when it is killed the kernel does. Where
no lock can be had (no such folder, a file of somebody who lets nobody read it) the driver's list is all there is.
"""

import contextlib
import errno
import fcntl
import os

FOLDERS = ("/run/lock", "/tmp")  # noqa: S108  (for everybody is what it must be)
"""Where everybody may write; the first that is there."""


class GpuLocks:
    """Held until `close`; the files stay, since to remove one that somebody waits for would make two of it."""

    def __init__(self) -> None:
        self._fds: list[int] = []

    def take(self, wanted: dict[str, bool]) -> None:
        """Of these GPUs, by id: True for its own, False for one that jobs of this queue share.

        Raises OSError (EBUSY), with none held, where another queue has one of them.
        """
        for gpu, whole in wanted.items():
            fd = open_file(f"trainq-{gpu.replace('/', '_')}.lock")
            if fd is None:
                continue
            self._fds.append(fd)
            try:
                fcntl.flock(fd, (fcntl.LOCK_EX if whole else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                self.close()
                msg = f"GPU {gpu} is in the hands of another queue of this machine"
                raise OSError(errno.EBUSY, msg) from None
            except OSError:
                continue  # a file system without locks

    def close(self) -> None:
        """May be called twice."""
        while self._fds:
            os.close(self._fds.pop())


def open_file(name: str) -> int | None:
    """For reading, which is all that a lock needs; made by whoever comes first, for everybody."""
    path = f"{next(filter(os.path.isdir, FOLDERS), '/tmp')}/{name}"  # noqa: S108
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    with contextlib.suppress(OSError):
        return os.open(path, flags)  # without O_CREAT: the kernel refuses that for files of others in such folders
    with contextlib.suppress(OSError):
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
        os.fchmod(fd, 0o644)
        return fd
    with contextlib.suppress(OSError):
        return os.open(path, flags)  # somebody was quicker
    return None
