"""A cgroup (version 2) for one attempt with a `memory_limit`: what is born in it may use no more together.

The daemon says where it may be made (cells.py). The runner goes in, starts the job, and goes out again, since a process
is born where its parent is; whoever the job starts is born there, too. When the limit is reached and nothing can be
given back, the kernel kills all that is in it, and counts that.
"""

import contextlib
import errno
import os
import time
from typing import Any

from record import Dead

BUSY, AGAIN = 1.0, 0.01
"""Seconds for a cgroup to become empty after its last process has been buried, and between tries."""
SHORT = (errno.ENOMEM, errno.EAGAIN, errno.ENOSPC)
"""The machine's trouble, which passes."""


class ImpossibleError(ValueError):
    """The limit cannot be set here; a sentence says why."""


class BarredError(ImpossibleError):
    """The runner cannot go out again: it must end, and serve no other job, which would be born in there."""


class Cell:
    """`folder` is the cgroup; `outside`, where the runner belongs, another one beside it. `limit` in bytes."""

    def __init__(self, folder: str, outside: str, limit: int) -> None:
        """Raises ImpossibleError, or OSError where the machine is short of something."""
        self.folder, self.outside, self.limit = folder, outside, limit
        try:
            with contextlib.suppress(FileExistsError):  # of a runner that died before it could start anything
                os.mkdir(folder)
            write(folder + "/memory.max", str(limit))
            for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
                with contextlib.suppress(OSError):  # a kernel without swap, or of before 4.19
                    write(f"{folder}/{name}", value)
            write(folder + "/cgroup.procs", "0")
        except OSError as error:
            self.remove()  # we are not in it: that was the last step
            raise impossible(error, folder) from None

    def leave(self) -> None:
        """The runner's way out. Raises BarredError."""
        try:
            write(self.outside + "/cgroup.procs", "0")
        except OSError as error:
            where = f"{error.filename or self.outside}: {error.strerror}"
            msg = f"its memory cannot be limited: its runner cannot leave its cgroup: {where}"
            raise BarredError(msg) from None

    def ran_out(self, main: Dead) -> tuple[str | None, str]:
        """The reason "out-of-memory" and a sentence, when the kernel has killed for want of memory in here."""
        if os.waitstatus_to_exitcode(main.status) == 0 or not number_in(self.folder + "/memory.events", "oom_kill"):
            return None, ""
        peak = number_in(self.folder + "/memory.peak") or main.max_rss
        told = f"it used all of its memory_limit of {size(self.limit)} (at its peak {size(peak)})"
        return "out-of-memory", f"host memory ran out: {told}; raise it with --memory, or try a smaller batch"

    def remove(self) -> None:
        """Once nothing of the job lives; what is left of it is removed by the next daemon."""
        deadline = time.monotonic() + BUSY
        while True:
            try:
                os.rmdir(self.folder)
            except OSError as error:
                if error.errno == errno.EBUSY and time.monotonic() < deadline:
                    time.sleep(AGAIN)
                    continue
            return


def cell_for(spec: dict[str, Any]) -> Cell | None:
    """Entered; None for a job without a limit. Raises ImpossibleError, OSError."""
    limit = spec.get("memory_limit")
    if limit is None:
        return None
    cell = spec["cell"]
    if "folder" not in cell:
        raise ImpossibleError(cell["trouble"])
    return Cell(cell["folder"], cell["outside"], limit)


def impossible(error: OSError, folder: str) -> Exception:
    if error.errno in SHORT:
        return error
    if error.errno == errno.ENOENT and os.path.isdir(os.path.dirname(folder)) and not os.path.isdir(folder):
        return OSError(errno.EAGAIN, "its cgroup was removed by a daemon that tidied up just then")
    return ImpossibleError(f"its memory cannot be limited: {error.filename or folder}: {error.strerror}")


def write(path: str, text: str) -> None:
    """Raises OSError with the path; the kernel makes the file, we never do."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


def number_in(path: str, name: str = "") -> int:
    """A file's number, or that behind a name in it; 0 where there is none."""
    try:
        with open(path, "rb") as file:
            lines = file.read().decode().splitlines()
    except OSError:
        return 0
    found = [line.split()[-1] for line in lines if line.split()[:-1] == ([name] if name else [])]
    return int(found[0]) if found and found[0].isdigit() else 0


def size(count: int) -> str:
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB".replace(".0 GiB", " GiB")
