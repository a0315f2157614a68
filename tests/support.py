"""What tests of several folders share: waiting for a condition, and a daemon as a process."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgpack
import pytest

from trainqueue.client import Client
from trainqueue.home import REQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from trainqueue.home import Home

T = TypeVar("T")
ACTORS = Path(__file__).resolve().parents[1] / "actors"


def run(work: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run, in a thread in which a browser's driver has left its own loop marked as running."""
    marked = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        return asyncio.run(work)
    finally:
        asyncio._set_running_loop(marked)


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Fails the test when `condition` has not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true after {seconds} s: {condition}"
        threading.Event().wait(0.005)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Generator[Path, None, None]:
    """A real disk of this size, such as "3m", at `folder`; skips the test where none may be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


EXT4_IOC_SHUTDOWN, NO_FLUSH = 0x8004587D, 2


class PowerDisk:
    """A disk of its own with ext4, on which the power can be cut: what was not synced by then is gone."""

    def __init__(self, folder: Path) -> None:
        """Skips the test where none may be made."""
        self.folder, self.image = folder, folder.with_name(f"{folder.name}.img")
        folder.mkdir()
        with self.image.open("wb") as file:
            file.truncate(64 * 2**20)
        if not shutil.which("mkfs.ext4") or not self._made():
            pytest.skip("may not make a disk")

    def _made(self) -> bool:
        made = ["mkfs.ext4", "-q", "-F", str(self.image)]
        return not subprocess.run(made, capture_output=True, check=False).returncode and self.mount()

    def mount(self) -> bool:
        command = ["mount", "-o", "loop", str(self.image), str(self.folder)]
        return not subprocess.run(command, capture_output=True, check=False).returncode

    def cut(self) -> None:
        """Without a last word to the disk, as the file system's own tests do it."""
        fd = os.open(self.folder, os.O_RDONLY)
        fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_FLUSH))
        os.close(fd)

    def unmount(self) -> None:
        """Nobody may use it any more; waits until the kernel has let go of it, wherever else it was mounted."""
        subprocess.run(["umount", str(self.folder)], check=True)
        wait_until(lambda: not subprocess.run(["losetup", "-j", self.image], capture_output=True, check=True).stdout)


def packed(value: object) -> bytes:
    """By msgpack, as a stranger's client does it (ours uses msgspec)."""
    return bytes(cast("Any", msgpack).packb(value))


def unpacked(data: bytes) -> Any:
    return cast("Any", msgpack).unpackb(data, strict_map_key=False)


class Daemon:
    """A real trainqd as a process; `start` may be called again after its death."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None
        self.env: dict[str, str] = {**os.environ, "PYTHONPATH": str(ACTORS), "TRAINQ_CONFIG": ""}

        self.program = [sys.executable, "-m", "trainqueue.daemon"]

    def boot(self, name: str) -> None:
        """From the next start on the machine has this boot id, for the daemon. Skips the test where that may not be."""
        path = self.home.path.with_name(f"boot-{name}")
        path.write_text(name + "\n", encoding="ascii")
        script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
        prefix = ["unshare", "-m", "sh", "-c", script, str(path)]
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
            pytest.skip("may not mount")
        self.program = [*prefix, sys.executable, "-m", "trainqueue.daemon"]

    def start(self) -> None:
        command = [*self.program, "--home", str(self.home.path)]
        self.process = subprocess.Popen(command, env=self.env, start_new_session=True)
        wait_until(self.answers, 20)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon died with {self.process.returncode}"
        if not (self.home.endpoint_file.exists() or self.home.socket(REQUESTS).exists()):
            return False  # on a full disk the endpoint may not be written, and clients look at the usual place
        with Client(self.home, timeout=1) as client:
            try:
                return bool(client.ping()["pid"] == self.process.pid)
            except Exception:  # noqa: BLE001  (a stale endpoint of the one before)
                return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """By SIGTERM; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)
