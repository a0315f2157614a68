"""A machine with pretend NVIDIA GPUs: a folder of small files, from which the fake NVML (fakenvml.py) reads.

Tests write it, from any process and while a daemon looks at it. Each file is replaced atomically, and each process on a
GPU is a file of its own, so that many can come and go at once.

    machine.json    the GPUs and the driver's state, see `Machine.change` and `Machine.gpu`
    processes/*     who is on which GPU; with `ticks` it is a real process, which leaves when it dies
    xids/*          errors that the driver has to report yet
    calls           the name of each function that was called, one a line
"""

from __future__ import annotations

import difflib
import json
import os
import time
import uuid
from typing import TYPE_CHECKING, Any

from trainqueue.launch.processes import look

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30


class Machine:
    """The folder. `errors` are named as in pynvml without their NVML_ERROR_, such as "GPU_IS_LOST"."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def build(cls, folder: Path, count: int = 2, memory: int = 24 * GIB, **gpu: Any) -> Machine:
        """A new one; `gpu` are fields that differ from the usual ones below, for all its GPUs."""
        made = cls(folder)
        for part in ("processes", "xids"):
            (folder / part).mkdir(parents=True)
        made.write({"driver": "550.54.14", "gpus": [pretend(at, memory) | gpu for at in range(count)]})
        return made

    # -- the driver and its GPUs

    def read(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "machine.json").read_bytes()))

    def write(self, state: dict[str, Any]) -> None:
        replace(self.folder / "machine.json", state)

    def change(self, **fields: Any) -> None:
        """Of the driver: `driver`, its version; `init_error`; `errors`, {function: error}; `missing`, [function] that
        it is too old for (read at the first call only); `block`, [function] that do not return while they stand here.
        """
        for name in (*fields.get("errors", ()), *fields.get("missing", ()), *fields.get("block", ())):
            refuse_unknown(name, {*functions(), "*"})
        for error in fields.get("errors", {}).values():
            refuse_unknown(error, errors())
        self.write(self.read() | fields)

    def gpu(self, index: int, **fields: Any) -> None:
        """Of a GPU: `error`, of all calls about it; `errors`, {function: error}; `block`, [function] that do not return
        for it; `uuid`, `name`, `bus`, `memory`, `reserved` and `base` (used by nobody in the list) in bytes,
        `utilization`, `temperature`, `power` (mW); `persistence`, 0 for off; `generation`: one more, and it is lost for
        all that were initialised before; `mig`, leaves with `uuid`, `name`, `memory`, `instance`.
        """
        for name, error in fields.get("errors", {}).items():
            refuse_unknown(name, {*functions(), *(known.partition("_v")[0] for known in functions())})
            refuse_unknown(error, errors())
        if fields.get("error"):
            refuse_unknown(fields["error"], errors())
        state = self.read()
        state["gpus"][index] |= fields
        self.write(state)

    def uuids(self) -> list[str]:
        return [gpu["uuid"] for gpu in self.read()["gpus"]]

    def xid(self, uuid: str, number: int, **fields: int) -> None:
        """The driver reports it of this GPU, or of the MIG `instance` of it."""
        replace(self.folder / "xids" / f"{time.monotonic_ns()}.json", {"uuid": uuid, "xid": number} | fields)

    # -- processes

    def process(
        self,
        uuid: str,
        memory: int | None,
        *,
        pid: int,
        graphics: bool = False,
        compute: bool = True,
        name: str | None = None,
        kept: Path | None = None,
        listed: float = 0.0,
        alive: bool = False,
    ) -> Path:
        """One is on this GPU from now on; its file, `unlink` it and it has gone.

        `alive`: it is a real one, and goes when it dies; its memory stays in use as long as there is a file `kept`, and
        itself in the list for `listed` seconds.
        """
        found = look(pid) if alive else None
        entry: dict[str, Any] = {"uuid": uuid, "memory": memory, "pid": pid, "graphics": graphics, "compute": compute}
        entry |= {"kept": str(kept) if kept else None, "listed": listed, "ticks": found.ticks if found else None}
        path = self.folder / "processes" / f"{name or f'{pid}-{uuid}'}.json"
        replace(path, entry)
        return path

    def listed(self, uuid: str, kind: str) -> list[dict[str, Any]]:
        """What the driver lists; `kind` is "compute" or "graphics"."""
        return [entry for entry, gone in self._entries() if lists(entry, uuid, kind) and gone <= entry["listed"]]

    def used(self, uuid: str) -> int:
        """Bytes that processes use, or have used and not given back."""
        entries = ((entry, gone) for entry, gone in self._entries() if entry["uuid"] == uuid)
        return sum(entry["memory"] or 0 for entry, gone in entries if gone <= entry["listed"] or is_kept(entry))

    def _entries(self) -> list[tuple[dict[str, Any], float]]:
        """With the seconds since each has died; 0 of one that lives."""
        found = list[tuple[dict[str, Any], float]]()
        for path in sorted((self.folder / "processes").glob("*.json")):
            try:
                entry = json.loads(path.read_bytes())
            except FileNotFoundError:
                continue
            found.append((entry, since_death(entry, path)))
        return found

    # -- calls

    def count_call(self, function: str) -> None:
        fd = os.open(self.folder / "calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.write(fd, function.encode() + b"\n")
        os.close(fd)

    def calls(self, function: str | None = None) -> int:
        """How often it was called; all functions where none is named."""
        path = self.folder / "calls"
        made = path.read_text(encoding="ascii").splitlines() if path.exists() else []
        return len([name for name in made if function in {None, name}])


def pretend(index: int, memory: int) -> dict[str, Any]:
    fixed = {"uuid": f"GPU-{uuid.uuid4()}", "name": "NVIDIA RTX 4090", "bus": index + 1, "memory": memory}
    sizes = {"reserved": 300 * 2**20, "base": 10 * 2**20}
    return {**fixed, **sizes, "utilization": 0, "temperature": 40, "power": 25_000, "mig": [], "generation": 0}


def functions() -> set[str]:
    """What the fake has; imported late, since jobs need none of it."""
    from fakenvml import FUNCTIONS

    return {*FUNCTIONS}


def errors() -> set[str]:
    from fakenvml import pynvml

    return {name.removeprefix("NVML_ERROR_") for name in vars(pynvml) if name.startswith("NVML_ERROR_")}


def refuse_unknown(name: str, known: set[str]) -> None:
    """A fault that nothing ever asks about would inject nothing."""
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        msg = f"nothing here is called {name}" + (f"; did you mean {near[0]}?" if near else "")
        raise ValueError(msg)


def lists(entry: dict[str, Any], uuid: str, kind: str) -> bool:
    return bool(entry["uuid"] == uuid and entry[kind])


def is_kept(entry: dict[str, Any]) -> bool:
    return entry["kept"] is not None and os.path.exists(entry["kept"])  # noqa: PTH110  (called very often)


def since_death(entry: dict[str, Any], path: Path) -> float:
    """Seconds since somebody has seen that it is dead; 0 while it lives, and for one that is no real process."""
    found = look(entry["pid"]) if entry["ticks"] else None
    if not entry["ticks"] or (found and found.ticks == entry["ticks"] and found.state not in "ZX"):
        return 0.0
    seen = path.with_suffix(".died")
    try:
        os.close(os.open(seen, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
    except FileExistsError:
        return max(1e-6, time.time() - seen.stat().st_mtime)
    return 1e-6


def replace(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_suffix(f".{os.getpid()}-{time.monotonic_ns()}")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(path)
