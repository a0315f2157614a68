"""The daemon's end of a runner: spawn it idle, arm it with an attempt, tell it to go.

The protocol is described in runner/__main__.py. A runner is known (pid, start ticks, boot id) before it is
handed anything, so that a daemon that comes later can find it again.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainqueue.launch.processes import look

RUNNER = str(Path(__file__).resolve().parent.parent / "runner")
PACKET = 256 * 1024
FD = 3
PROTOCOL = 1
"""Of the packets; a runner of another one (a package replaced under a running daemon) is sent nothing."""


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 when there is none."""
    found = look(pid)
    return 0 if found is None else found.ticks


@dataclass(slots=True)
class Runner:
    """A runner process. `sock` is None for one that an earlier daemon started."""

    pid: int
    pidfd: int
    ticks: int
    sock: socket.socket | None

    def identity(self, boot: str) -> dict[str, Any]:
        return {"pid": self.pid, "ticks": self.ticks, "boot_id": boot}

    def arm(self, folder: Path, spec: dict[str, Any]) -> None:
        """Hand over an attempt: its folder, and what to run in a file without a name, since an environment may be big.

        Raises OSError when the runner is gone.
        """
        assert self.sock is not None
        with open(os.memfd_create("trainq-spec"), "w+b") as file:  # noqa: PTH123  (a descriptor)
            file.write(json.dumps(spec).encode())
            file.seek(0)
            socket.send_fds(self.sock, [json.dumps({"arm": str(folder)}).encode()], [file.fileno()])

    def go(self, env: dict[str, str], gpus: dict[str, bool] | None = None, *, stay: bool = False) -> None:
        """Start what it is armed with; `stay` to be armed again afterwards. Raises OSError when the runner is gone.

        `gpus` are to be locked against other queues of this machine, by id: True for its own, False for shared ones.
        """
        assert self.sock is not None
        self.sock.send(json.dumps({"go": {"env": env, "gpus": gpus or {}, "stay": stay}}).encode())

    def receive(self) -> dict[str, Any] | None:
        """The next packet; None when there is none now, {} when the runner has closed its end."""
        assert self.sock is not None
        return receive(self.sock)

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def gone(self, seconds: float = 0) -> bool:
        """Whether it has died; by pidfd, since `kill 0` succeeds on zombies."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def __del__(self) -> None:
        self.close()  # one that was armed for an arbiter that has stopped meanwhile

    def close(self) -> None:
        """Let go of it. An unarmed or armed runner exits when its socket closes; a running one goes on."""
        if self.sock is not None:
            self.sock.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def receive(sock: socket.socket) -> dict[str, Any] | None:
    try:
        packet = sock.recv(PACKET)
    except BlockingIOError:
        return None
    except OSError:
        return {}
    return dict(json.loads(packet)) if packet else {}


def launch(*mode: str) -> tuple[int, socket.socket]:
    """A process of runner/, told `mode`: its pid and our end of its socket. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)  # noqa: FBT003
    # The socket first: a daemon without standard streams may have it as 0, 1 or 2.
    actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), FD)]
    actions += [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    argv = [sys.executable, "-I", "-S", RUNNER, str(FD), *mode]
    env = {"PATH": os.defpath, "LANG": "C.UTF-8"}
    try:
        if theirs.fileno() == FD:
            os.set_inheritable(FD, True)  # noqa: FBT003
        pid = os.posix_spawn(sys.executable, argv, env, file_actions=actions, setsid=True, setsigdef=[signal.SIGCHLD])
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return pid, ours


def find(identity: dict[str, Any], boot: str) -> Runner | None:
    """The living runner that an earlier daemon wrote down, or None. pidfd first, then ticks and boot id."""
    if identity["boot_id"] != boot:
        return None
    try:
        pidfd = os.pidfd_open(identity["pid"])
    except OSError:
        return None
    runner = Runner(identity["pid"], pidfd, identity["ticks"], None)
    if start_ticks(runner.pid) == identity["ticks"] and not runner.gone():
        return runner
    runner.close()
    return None
