"""The kernel's count of the processes that its OOM killer has ended: of our own cgroup, else of the whole machine.

Our cgroup is the daemon's, and that of all its jobs: that somebody was killed there says nothing of this job. When it
was says more, and cgroups of version 2 tell it: the kernel reports each change of the count to whoever has asked for
signals about the folder, so that nobody has to look again and again. Where no time is known, a rise is a "perhaps".
"""

import contextlib
import fcntl
import os
import time
from typing import NamedTuple

CGROUPS = "/sys/fs/cgroup"
VMSTAT = "/proc/vmstat"
OWN = "/proc/self/cgroup"
TELLS = "memory.events"
"""The file whose changes the kernel reports."""
FRESH = 10.0
"""Seconds: a kill that was noticed so shortly before a death may be its reason. A large process takes some to die."""
APART = 1.0
"""Seconds between two looks at the count, however often the kernel reports something of the cgroup."""


class Counter(NamedTuple):
    """A file that is held open, so that a look costs some microseconds; `own` where it counts our cgroup only."""

    path: str
    own: bool
    fd: int

    def read(self) -> int | None:
        """None when it cannot be read any more."""
        try:
            text = os.pread(self.fd, 65536, 0)
        except OSError:
            return None
        _, found, rest = (b"\n" + text).partition(b"\noom_kill ")
        number = rest.partition(b"\n")[0].strip()
        return int(number) if found and number.isdigit() else None

    def is_ours_alone(self) -> bool:
        """Whether nobody else lives in the cgroup, nor in one below it; asked while nothing of the job does."""
        folder = os.path.dirname(self.path)
        try:
            with open(folder + "/cgroup.procs", "rb", 0) as file:
                living = {int(pid) for pid in file.read().split()}
            with os.scandir(folder) as entries:
                below = any(entry.is_dir() for entry in entries)
            return self.own and living == {os.getpid()} and not below
        except (OSError, ValueError):
            return False


class Kills:
    """The count during one attempt. `due` is when to look at it again (monotonic), None for when the kernel says so."""

    def __init__(self, counter: Counter | None, folder: int | None) -> None:
        """`folder` is the counter's, held open, where the kernel reports changes in it."""
        self.counter, self.folder = counter, folder
        self.first = self.last = None if counter is None else counter.read()
        self.rose_at: float | None = None
        self.due: float | None = None
        self.timed = self._listen()

    def _listen(self) -> bool:
        """For one SIGIO. False where none will come, as when the system's administrator has switched that off."""
        if self.folder is None:
            return False
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.folder, fcntl.F_NOTIFY, fcntl.DN_MODIFY)
            return True
        return False

    def told(self, now: float) -> None:
        """SIGIO: something in the folder has changed."""
        self.look(now)
        self.due = now + APART

    def again(self, now: float) -> None:
        """It is due."""
        self.due = None
        self.timed = self._listen()
        self.look(now)

    def look(self, now: float) -> None:
        number = None if self.counter is None else self.counter.read()
        if number is not None and self.last is not None and number > self.last:
            self.last, self.rose_at = number, now

    def is_fresh(self) -> bool:
        """Whether it is known that somebody was killed just now."""
        return self.timed and self.rose_at is not None and time.monotonic() - self.rose_at <= FRESH

    def shown(self) -> str:
        """Where the rise can be seen; empty where there was none."""
        if self.rose_at is None or self.counter is None:
            return ""
        return f"oom_kill in {self.counter.path} went from {self.first} to {self.last}"


def folder_of(counter: Counter | None) -> int | None:
    """Opens it, where the kernel reports changes in it."""
    if counter is None or not counter.own or os.path.basename(counter.path) != TELLS:
        return None
    with contextlib.suppress(OSError):
        return os.open(os.path.dirname(counter.path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return None


def find() -> Counter | None:
    """Opens the first that counts. None on a kernel without any (before 4.13)."""
    for path, own in places():
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        counter = Counter(path, own, fd)
        if counter.read() is not None:
            return counter
        os.close(fd)
    return None


def places() -> list[tuple[str, bool]]:
    """In a container the path may be the host's, with our own cgroup where all begins. The root has no count in v2."""
    found: list[tuple[str, bool]] = []
    for controllers, path in own_cgroups():
        if controllers == "":
            found += [(f"{CGROUPS}{here}/memory.events", True) for here in (path, "")]
        elif "memory" in controllers.split(","):
            found += [(f"{CGROUPS}/memory{here}/memory.oom_control", True) for here in (path, "")]
    return [*found, (VMSTAT, False)]


def own_cgroups() -> list[tuple[str, str]]:
    """(controllers, path) of each hierarchy; no controllers in v2."""
    try:
        with open(OWN, "rb", 0) as file:
            lines = os.fsdecode(file.read()).splitlines()
    except OSError:
        return []
    fields = [line.split(":", 2) for line in lines]
    return [(field[1], "" if field[2] == "/" else field[2]) for field in fields if len(field) == 3]
