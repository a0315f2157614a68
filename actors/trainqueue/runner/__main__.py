"""The runner: a small process that carries one attempt at a time, and outlives the daemon. Standard library only.

Run as `python -I -S <this folder> FD [nursery [FILES]]`, FD being one end of a SEQPACKET socketpair. A nursery leaves
whoever started it, says {"nursery": its pid}, and forks a runner for each descriptor that it is sent, which becomes
the runner's FD; FILES is the limit of open files that its jobs get. Packets are JSON:

    runner  {"ready": true, "protocol": 1, "pid": n}
    daemon  {"arm": FOLDER} + descriptor  a file that says what to run; may come again before "go"
    runner  {"armed": true}
    daemon  {"go": {"env": {...}, "stay": bool}}   makes FOLDER/claim and starts; without the claim it starts nothing
    runner  {"refused": WHY}              the machine does not let it: nothing was started, and it exits
    runner  {"started": {"pid", "at", "began", "env", "orders", "runner"}}   with "orders": it reads FOLDER/orders
    runner  {"ended": record}             nothing of the job lives any more
    (file)  FOLDER/exit                   the same record, durable, just after
    runner  {"free": true}                if it was told to stay: it may be armed again; else it exits

SIGTERM to the runner ends the job with grace, SIGQUIT at once.
SIGUSR2 says that FOLDER/orders has grown (orders.py).
When the daemon goes away while no job runs, the runner exits; while one runs it does not care.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import sys
from typing import Any

import attempt
import nursery
import tree

PACKET = 256 * 1024
PROTOCOL = 1
"""Of these packets; the daemon's number stands in launch/local.py."""


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    close_inherited(int(sys.argv[1]))
    if sys.argv[2:3] != ["nursery"]:
        be_runner(int(sys.argv[1]), None)
    elif leave_parent(int(sys.argv[1])):
        limit_files(sys.argv[3:4])
        fd = nursery.nurse(int(sys.argv[1]))
        if fd is not None:
            be_runner(fd, tree.identity())


def leave_parent(fd: int) -> bool:
    """True in the process that goes on, which may outlive the daemon, and is no business of an embedding program."""
    pid = os.fork()
    if pid:
        with socket.socket(fileno=fd) as sock:
            sock.send(json.dumps({"nursery": pid}).encode())
        return False
    os.setsid()
    return True


def limit_files(soft: list[str]) -> None:
    """The daemon raises its own limit; a job gets the one that its user set."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for number in soft:
        wanted = int(number) if hard == resource.RLIM_INFINITY else min(int(number), hard)  # it was lowered since
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def be_runner(fd: int, nursed: dict[str, int] | None) -> None:
    """`nursed` says which nursery cleans up if this process is killed; it goes into each claim."""
    tree.become_subreaper()
    with socket.socket(fileno=fd) as sock, contextlib.suppress(OSError):  # the daemon went away: nothing is started
        sock.set_inheritable(False)
        sock.send(json.dumps({"ready": True, "protocol": PROTOCOL, "pid": os.getpid()}).encode())
        stay = True
        while stay and (handed := wait_for_go(sock)) is not None:
            folder, spec, go = handed
            claim = {"env": go["env"], "orders": True, **({"runner": nursed} if nursed else {})}
            stay = attempt.run(sock, folder, spec, claim, go.get("gpus")) and go.get("stay", False)
            if stay:
                sock.send(b'{"free": true}')


def close_inherited(keep: int) -> None:
    """What the daemon's process leaked must not live in its jobs."""
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
        if fd > 2 and fd != keep:
            with contextlib.suppress(OSError):
                os.close(fd)


def wait_for_go(sock: socket.socket) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
    """(folder, spec, the words of "go"), or None when the daemon has closed its end."""
    folder, spec = "", None
    while True:
        packet, fds, _, _ = socket.recv_fds(sock, PACKET, 1)
        if not packet:
            return None
        message = json.loads(packet)
        if "arm" in message:
            folder = message["arm"]
            with open(fds[0], "rb") as file:
                spec = json.loads(file.read())
            attempt.forget_signals()
            sock.send(b'{"armed": true}')
            attempt.rehearse()
        elif "go" in message and spec is not None:
            return folder, spec, message["go"]


if __name__ == "__main__":
    main()
    os._exit(0)  # taking the interpreter down in order costs the next job a millisecond
