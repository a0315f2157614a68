"""The kernel's count of the processes that its OOM killer has ended: of our own cgroup, else of the whole machine."""

import os
from typing import NamedTuple

CGROUPS = "/sys/fs/cgroup"
VMSTAT = "/proc/vmstat"
OWN = "/proc/self/cgroup"


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
