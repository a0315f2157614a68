"""Where cgroups for jobs with a `memory_limit` can be made: asked once, at the start, by making one.

Only cgroups of version 2 can be had without being root, and only below one that has been given to us ("delegated"), as
systemd gives one to a service with `Delegate=yes`; and only a cgroup without processes of its own can pass the memory
controller on. So a daemon that finds itself alone in its cgroup goes into a child of it, OURS below, and makes those
for jobs beside that. Another program's process (embed.py) is not moved.

A service of systemd goes there only if systemd has put it there: it could not be started again in its own cgroup, once
that passes a controller on to jobs that have outlived it. An older systemd passes over the word for that.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

OURS = "daemon"
"""The child that the daemon lives in; also what its unit tells systemd (DelegateSubgroup)."""
CELL = "trainq-"
"""What the names of the others begin with."""
PROC = Path("/proc/self")
SUBGROUP = 254
"""The first systemd that starts a service in a cgroup below its own."""
INSTALL = f"run the daemon as a user unit, which takes systemd {SUBGROUP} or a newer one: trainq-cli daemon install"
OLD = "start the machine with the kernel's option systemd.unified_cgroup_hierarchy=1; a newer system does so by itself"


class Place(NamedTuple):
    """`base` is where they can be made; without one `trouble` says why not, and `advice` what to do."""

    base: Path | None
    outside: Path | None = None
    """Where the daemon and its runners live."""
    trouble: str = ""
    advice: str = ""

    def cell(self, name: str) -> dict[str, str]:
        """For the runner of a job that has a limit."""
        if self.base is None or self.outside is None:
            return {"trouble": self.sentence()}
        return {"folder": str(self.base / f"{CELL}{name}"), "outside": str(self.outside)}

    def sentence(self) -> str:
        """Of a refusal, with what to do."""
        return f"this machine cannot limit a job's memory: {self.trouble}; {self.advice}".removesuffix("; ")


def settle() -> None:
    """For a process that is the daemon's alone: go where cgroups for jobs can be made beside us, if that may be.

    A newer systemd has put us there already, and leaves it to us to pass the memory controller on.
    """
    own = own_folder()
    if own is None:
        return
    base, home = (own.parent, own) if own.name == OURS else (own, own / OURS)
    if enabled(base) or "memory" not in words_in(base / "cgroup.controllers") or is_service(own):
        return
    with contextlib.suppress(OSError):
        if home == own:
            write(base / "cgroup.subtree_control", "+memory")
            return
        home.mkdir(exist_ok=True)
        try:
            write(home / "cgroup.procs", "0")
            write(base / "cgroup.subtree_control", "+memory")
        except OSError:  # others live there, or it is not ours
            with contextlib.suppress(OSError):
                write(own / "cgroup.procs", "0")
            home.rmdir()


def mark(home: Path) -> str:
    """What the names of a home's cgroups have in common, and those of no other one that the same cgroup is given to."""
    found = home.stat()
    return f"{found.st_dev}-{found.st_ino}"


def find(home: Path) -> Place:
    """Looked at, and tried out: a cgroup is made, given a limit, and removed. For the daemon of this home."""
    place = examine()
    if place.base is None:
        return place
    probe = place.base / f"{CELL}{mark(home)}-probe"
    try:
        probe.mkdir(exist_ok=True)
        try:
            write(probe / "memory.max", str(2**30))
        finally:
            probe.rmdir()
    except OSError as error:
        return Place(None, None, f"{error.filename or probe}: {error.strerror}", INSTALL)
    remove_left(place.base, mark(home))
    return place


def examine() -> Place:
    """As far as can be seen without changing anything."""
    own = own_folder()
    if own is None:
        return Place(None, None, "it has no cgroups of version 2", OLD)
    base = own.parent if own.name == OURS else own
    if "memory" not in words_in(base / "cgroup.controllers"):
        return without_controller(base)
    if not os.access(base, os.W_OK) or not os.access(base / "cgroup.procs", os.W_OK):
        return Place(None, None, f"the cgroup {base} belongs to somebody else", INSTALL)
    if not enabled(base) and is_service(own):
        told = f"systemd has started the daemon in the cgroup {base} itself, not below it"
        return Place(None, None, told, INSTALL)
    if not enabled(base):
        return Place(None, None, f"other processes live in the cgroup {base}, beside the daemon", INSTALL)
    return Place(base, own)


def without_controller(base: Path) -> Place:
    top = next((folder for folder in [*base.parents][::-1] if (folder / "cgroup.controllers").exists()), base)
    if "memory" not in words_in(top / "cgroup.controllers"):
        return Place(None, None, f"{top} has no memory controller: version 1 of cgroups has it", OLD)
    return Place(None, None, f"the memory controller is not passed on (delegated) to the cgroup {base}", INSTALL)


def is_service(folder: Path) -> bool:
    """Whether systemd starts it in there."""
    return folder.suffix == ".service"


def enabled(folder: Path) -> bool:
    """Whether those made in it can be limited."""
    return "memory" in words_in(folder / "cgroup.subtree_control")


def own_folder() -> Path | None:
    """Of this process, where version 2 is mounted; None where it is not, or where ours cannot be seen."""
    try:
        groups = (PROC / "cgroup").read_text(encoding="utf-8").splitlines()
        mounts = (PROC / "mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    own = next((line.removeprefix("0::") for line in groups if line.startswith("0::/")), None)
    for line in mounts:
        fields, _, kind = line.partition(" - ")
        if own is not None and kind.startswith("cgroup2 "):
            root, where = fields.split()[3:5]
            inside = os.path.relpath(own, root)
            folder = Path(where) / inside if not inside.startswith("..") else Path(where)
            return folder if (folder / "cgroup.procs").exists() else None
    return None


def words_in(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []


def write(path: Path, text: str) -> None:
    """Raises OSError with the path."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)  # the kernel makes the file, we never do
    try:
        os.write(fd, text.encode())
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(fd)


def remove_left(base: Path, mark: str) -> None:
    """Of this home's runners that were killed; those that are in use the kernel does not give.

    Another home's runner may have made one just now, and not have gone in yet.
    """
    for left in base.glob(f"{CELL}{mark}-*"):
        with contextlib.suppress(OSError):
            left.rmdir()
