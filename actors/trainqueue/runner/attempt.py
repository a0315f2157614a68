"""One attempt: claim, start, watch, end. Limits and grace hold while no daemon lives, too."""

import contextlib
import errno
import json
import os
import signal
import socket
import time
from typing import Any

import cgroup
import claim
import logcap
import memory
import oomkill
import record
import tree
from claim import Claim
from course import Course
from gpulock import GpuLocks
from orders import Orders
from record import Dead

SIGNALS = {
    signal.SIGCHLD,
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGIO,
    signal.SIGUSR2,
}
SHORT = (errno.ENOSPC, errno.EDQUOT, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
"""What the machine is short of when it starts nothing: room for the log, processes, memory."""
FOR_EVER = 3600.0
rehearsed = False
AFTER_YOU = 0.003
"""Seconds: the record's fsyncs would otherwise run beside the start of the next job."""


def run(
    sock: socket.socket, folder: str, spec: dict[str, Any], words: dict[str, Any], gpus: dict[str, bool] | None = None
) -> bool:
    """Whether it was ours to run, and we are good for another one; returns when nothing of it lives and its record is
    written.

    `words` go into the claim; `env` among them is the part of the job's environment that its GPUs decide. The folder is
    held open and named through its descriptor, so that claim and record are in it wherever the home is moved. `gpus`
    are those that no other queue of this machine may have meanwhile, see gpulock.py.
    """
    locks = GpuLocks()
    try:
        fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            locks.take(gpus or {})
        except OSError:
            os.close(fd)
            raise
    except OSError as error:
        return refuse(sock, error)
    try:
        return carry(sock, f"/proc/self/fd/{fd}", spec, words, locks)
    finally:
        os.close(fd)
        locks.close()


def carry(sock: socket.socket, folder: str, spec: dict[str, Any], words: dict[str, Any], locks: GpuLocks) -> bool:
    try:
        ours = Claim(folder, words)
    except FileExistsError:
        return False
    except OSError as error:
        return refuse(sock, error)
    began, at = time.monotonic(), time.time()
    try:
        child, cell = give_birth(spec, {**spec["env"], **words["env"]})
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in SHORT:
            ours.withdraw()
            return refuse(sock, error)
        ours.close()
        sentence = explain(error, spec)
        logcap.say(spec["log"], sentence)
        locks.close()
        finish(sock, folder, record.start_failed(sentence, at), None)
        return not isinstance(error, cgroup.BarredError)
    life = {"pid": child, "at": at, "began": began}
    kills = memory.kills()
    tell(sock, json.dumps({"started": {**life, **words}}).encode())
    ours.add({**life, "ticks": tree.start_ticks(child)})
    cap = logcap.LogCap(spec["log"], spec.get("log_max_bytes", 0), began)
    course = Course(child, spec, began)
    main = watch(child, course, cap, ours, kills, Orders(folder))
    ours.close()
    tree.kill_rest()
    locks.close()  # before anybody is told: the next job may want them at once
    seconds, reason, sentence = course.ran(time.monotonic()), course.reason, ""
    if reason is None and cell is not None:
        reason, sentence = cell.ran_out(main)
    if reason is None:
        reason, sentence = memory.ran_out(main, spec["log"], kills)
    finish(sock, folder, record.ended(main, reason, at, seconds, sentence), cap)
    if cell is not None:
        cell.remove()  # which may take a moment, and nobody waits for it
    return True


def refuse(sock: socket.socket, error: OSError) -> bool:
    """The machine's trouble, not the job's: nothing was started, and the daemon tries again."""
    tell(sock, json.dumps({"refused": error.strerror or str(error)}).encode())
    return False


def forget_signals() -> None:
    """Those that were meant for the attempt before."""
    while signal.sigtimedwait(SIGNALS, 0):
        pass


def rehearse() -> None:
    """Once through the start and the end of nothing, while there is time.

    A forked runner pays for each page that it touches first; without this a job waits half a millisecond for that.
    """
    global rehearsed  # noqa: PLW0603  (once in the life of this process)
    if rehearsed:
        return
    rehearsed = True
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    claim.write_line(null, {"env": {}})
    os.close(null)
    spec: dict[str, Any] = {"argv": ["/dev/null/nothing"], "cwd": "/", "log": os.devnull, "umask": 0o077}
    with contextlib.suppress(OSError):
        start(spec, dict(os.environ))
    tree.kill_rest()
    memory.prepare()
    memory.kills()
    json.dumps(record.ended(Dead(0, 0, 0), None, time.time(), 0.0))


def give_birth(spec: dict[str, Any], env: dict[str, str]) -> tuple[int, cgroup.Cell | None]:
    """The job's process, in a cgroup of its own where it has a memory limit. Raises OSError, ValueError."""
    cell = cgroup.cell_for(spec)
    if cell is None:
        return start(spec, env), None
    try:
        child = start(spec, env)
    except BaseException:
        cell.leave()
        cell.remove()
        raise
    try:
        cell.leave()
    except cgroup.BarredError:
        tree.kill_rest()
        raise
    return child, cell


def start(spec: dict[str, Any], env: dict[str, str]) -> int:
    """The job's process, in a session of its own. Raises OSError when it cannot be started."""
    log = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    actions = [
        (os.POSIX_SPAWN_DUP2, null, 0),
        (os.POSIX_SPAWN_DUP2, log, 1),
        (os.POSIX_SPAWN_DUP2, log, 2),
    ]
    argv = [os.fsencode(word) for word in spec["argv"]]
    clean = {os.fsencode(name): os.fsencode(value) for name, value in env.items()}
    mask = os.umask(0o077)
    os.umask(mask)
    try:
        os.chdir(spec["cwd"])
        if spec.get("umask") is not None:
            mask = os.umask(spec["umask"])
        return os.posix_spawn(
            program(spec["argv"][0], env.get("PATH", os.defpath)),
            argv,
            clean,
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
    finally:
        os.chdir("/")
        os.umask(mask)
        os.close(log)
        os.close(null)


def program(name: str, path: str) -> bytes:
    """Found on the job's own PATH, not on the runner's."""
    if "/" in name:
        return os.fsencode(name)
    denied = False
    for folder in path.split(os.pathsep):
        candidate = os.path.join(folder or ".", name)
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return os.fsencode(candidate)
            denied = True
    code = errno.EACCES if denied else errno.ENOENT
    raise OSError(code, os.strerror(code), name)


def explain(error: Exception, spec: dict[str, Any]) -> str:
    if isinstance(error, OSError) and not os.path.isdir(spec["cwd"]):
        return f"cannot start: no folder {spec['cwd']!r}"
    if isinstance(error, OSError) and error.filename == spec["log"]:
        return f"cannot start: no log {spec['log']!r}: {error.strerror}"
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOEXEC:
        return f"cannot start {spec['argv'][0]!r}: not a program (a script needs a #! line)"
    return f"cannot start {spec['argv'][0]!r}: {os.strerror(number) if number else error}"


def watch(child: int, course: Course, cap: logcap.LogCap, ours: Claim, kills: oomkill.Kills, orders: Orders) -> Dead:
    """Wait for the main process: how it ended. Every wait has its deadline; no polling."""
    main: Dead | None = None
    while True:
        main = reap(child) or main
        if main is not None and (course.kill_at is None or not tree.has_group(child)):
            return main
        moments = [*course.moments(), *(at for at in (cap.due, ours.due, kills.due) if at is not None)]
        patience = max(0.0, min(moments) - time.monotonic()) if moments else FOR_EVER
        caught = signal.sigtimedwait(SIGNALS, patience)
        number, now = (caught.si_signo if caught else 0), time.monotonic()
        if ours.due is not None and now >= ours.due:
            ours.keep()
        if cap.due is not None and now >= cap.due:
            cap.look(now)
        if number == signal.SIGIO:
            kills.told(now)
        if kills.due is not None and now >= kills.due:
            kills.again(now)
        if number == signal.SIGUSR2:
            for order in orders.fresh():
                course.obey(order, now)
        if number == signal.SIGTERM:
            course.cancel(now, "cancel")
        if number == signal.SIGQUIT:
            course.cancel_at_once(now)
        course.look(now)


def reap(child: int) -> Dead | None:
    """Reap whoever has died, orphans too; the main process once it has."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                found = Dead(pid, status, usage.ru_maxrss * 1024)
    return found


def finish(sock: socket.socket, folder: str, result: dict[str, Any], cap: logcap.LogCap | None) -> None:
    """Tell the daemon first and let the next job start, then cut the log and make the record durable.

    In this order, since the log may be what has filled the disk.

    A daemon that dies in between finds this runner alive, and waits for its record.
    """
    tell(sock, json.dumps({"ended": result}).encode())
    time.sleep(AFTER_YOU)
    if cap is not None:
        cap.close()
    record.write(folder, result)


def tell(sock: socket.socket, packet: bytes) -> None:
    with contextlib.suppress(OSError):
        sock.send(packet)
