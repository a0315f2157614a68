"""What `doctor` looks at. Each check says what it found, in a sentence, and what to do, in another."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING

from trainqueue import __version__, guard
from trainqueue.cli import gpucheck, surroundings, traces
from trainqueue.cli.finding import Finding
from trainqueue.damage import RECOVER
from trainqueue.errors import DaemonError, SettingsError, TrainqError
from trainqueue.gpus import inventory
from trainqueue.home import REQUESTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainqueue.cli.finding import Result
    from trainqueue.home import Home

LOW, NONE = 2**30, 50 * 2**20
"""Free bytes below which the disk is worth a warning, and below which nothing works for long."""
FEW = 1000
"""Files that can still be made; a job takes about ten."""
OLDEST = 1_750_000_000
"""This was written later (seconds since 1970): a clock that shows an earlier time is wrong."""
SKEW = 60.0
"""Seconds by which another clock (a file server's) may be ahead of ours."""
PATIENCE = 3.0
"""Seconds for the daemon to answer."""


def checks(home: Home) -> Iterator[Finding]:
    usable = home.path.is_dir() and os.access(home.path, os.R_OK | os.X_OK)
    needed = [settings(), folder(home), *([database(home), log(home)] if usable else []), *pretence()]
    yield from needed
    if all(finding.check != "gpu" for finding in needed):
        yield from gpucheck.checks(home)
    yield disk(home)
    yield clock(home) if usable else Finding("clock", *right_now())
    yield (found := daemon(home, startable=all(finding.result != "problem" for finding in needed)))
    if usable:
        yield jobs(home)
    yield Finding("socket", *surroundings.runtime_folder(home))
    yield Finding("files", *surroundings.file_limit(holder_of(home)))
    yield Finding("session", *surroundings.session(holder_of(home)))
    yield memory(home if found.result == "ok" else None)


def holder_of(home: Home) -> int | None:
    """The pid of the daemon, if one runs."""
    return guard.holder(home.lock) if guard.is_held(home.lock) else None


def settings() -> Finding:
    from trainqueue.settings import load

    try:
        load()
    except SettingsError as error:
        return Finding("settings", "problem", str(error), "mend it, or move it away to have the defaults")
    return Finding("settings", "ok", "can be read")


def folder(home: Home) -> Finding:
    path, other = home.path, "name another with TRAINQ_HOME or --home"
    if not path.exists():
        return Finding("home", "ok", f"{path} does not exist yet; the first submit makes it")
    if not path.is_dir():
        return Finding("home", "problem", f"{path} is not a folder", other)
    found = path.stat()
    if found.st_uid != os.getuid():
        return Finding("home", "problem", f"{path} belongs to user {found.st_uid} and you are {os.getuid()}", other)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK) and not read_only(path):
        return Finding("home", "problem", f"you may not write to {path}", f"chmod 700 {path}")
    mode = found.st_mode & 0o777
    if mode & 0o077:
        return Finding("home", "warning", f"{path} has mode {mode:o}: others may look into it", f"chmod 700 {path}")
    foreign = next((item for item in path.iterdir() if item.lstat().st_uid != os.getuid()), None)
    if foreign is not None:
        return Finding("home", "problem", f"{foreign} is not yours", f"sudo chown -R {os.getuid()} {path}")
    return Finding("home", "ok", f"{path} is yours alone")


def read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def disk(home: Home) -> Finding:
    place = next(path for path in (home.path, *home.path.parents) if path.is_dir())
    found = os.statvfs(place)
    free = found.f_bavail * found.f_frsize
    room = f"{free / 2**30:.1f} GiB are free below {place}"
    if read_only(place):
        return Finding("disk", "problem", f"{place} is read-only", "see dmesg for why; then mount it again, read-write")
    if found.f_files and found.f_favail < FEW:
        few = f"only {found.f_favail} more files can be made below {place}"
        return Finding("disk", "problem", few, "remove files that are not needed (df -i)")
    if free <= NONE:
        then = "make room; a daemon goes on by itself, running jobs run on meanwhile"
        return Finding("disk", "problem", f"{room}: new jobs are refused, or soon will be", then)
    return Finding("disk", "warning", room, f"make room below {place}") if free <= LOW else Finding("disk", "ok", room)


def database(home: Home) -> Finding:
    from trainqueue.salvage.recover import find_fault
    from trainqueue.schema import NotOursError, refuse_others

    path = home.database
    if path.exists() and not os.access(path, os.R_OK):
        return Finding("database", "problem", f"you may not read {path}", f"chmod 600 {path}")
    try:
        found = find_fault(path, served=guard.is_held(home.lock))
        if found is not None and guard.is_held(home.lock):  # by one that has been started since
            found = find_fault(path, served=True)
        if found is None:
            refuse_others(path)
    except (sqlite3.Error, OSError) as error:
        return Finding("database", "problem", f"{path} cannot be read now: {error}", "is the disk there, and writable?")
    except NotOursError as error:
        what, _, then = str(error).rpartition(": " if "newer" in str(error) else "; ")
        return Finding("database", "problem", f"{path}: {what}", then)
    if found is None:
        return Finding("database", "ok", f"{path} is whole" if path.exists() else "none yet")
    then = "save what it holds: trainq-cli daemon stop, then trainq-cli doctor --recover (it keeps the damaged one)"
    return Finding(
        "database", "problem", f"{path} is damaged: {found.what}", then if found.then == RECOVER else found.then
    )


def log(home: Home) -> Finding:
    if home.log.exists() and not os.access(home.log, os.W_OK) and not read_only(home.path):
        return Finding("log", "problem", f"{home.log} cannot be written to", f"chmod 600 {home.log}")
    if guard.is_held(home.lock) and not home.log.exists():
        return Finding("log", "warning", f"{home.log} was removed", "nothing: the daemon makes it anew when it writes")
    return Finding("log", "ok", f"{home.log}" if home.log.exists() else "none yet")


def right_now(newest: float = 0.0) -> tuple[Result, str, str]:
    now, mend = time.time(), "set it: timedatectl set-ntp true"
    if now < OLDEST:
        return "problem", f"it shows {time.ctime(now)}, which is over already", mend
    if now < newest - SKEW:
        return "problem", f"it shows {time.ctime(now)}, and things happened here at {time.ctime(newest)}", mend
    return "ok", time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now)), ""


def clock(home: Home) -> Finding:
    """The newest time that stands in the home must be over."""
    times = [path.stat().st_mtime for path in (home.database, home.log, home.lock) if path.exists()]
    ended = [float(state["ended_at"]) for state in traces.newest(home) if state.get("ended_at")]
    return Finding("clock", *right_now(max([*times, *ended], default=0.0)))


def daemon(home: Home, *, startable: bool) -> Finding:
    from trainqueue.cli.banner import modes
    from trainqueue.client import Client

    if not guard.is_held(home.lock):
        if not startable:
            return Finding("daemon", "problem", "none runs, and none can start", "mend the problems above first")
        return Finding("daemon", "warning", "none runs", "a submit starts one, or: trainq-cli daemon start")
    pid = guard.holder(home.lock)
    try:
        with Client(home, timeout=PATIENCE) as client:
            told = client.ping()
    except DaemonError as error:
        return Finding("daemon", "problem", *silent(home, pid, str(error)))
    if told["version"] != __version__:
        older = f"it is trainqd {told['version']} (pid {told['pid']}), and this is trainq-cli {__version__}"
        then = "trainq-cli daemon stop, then trainq-cli daemon start; running jobs run on"
        return Finding("daemon", "warning", older, then)
    if still := modes(told):
        what, _, advice = still[0].partition(". ")
        return Finding("daemon", "warning", f"answers, pid {told['pid']}. {what}", advice)
    return Finding("daemon", "ok", f"answers, pid {told['pid']}")


def memory(home: Home | None) -> Finding:
    """Whether jobs may have a memory limit; a daemon that serves `home` has tried it, else it may be looked at."""
    from trainqueue.cells import examine
    from trainqueue.client import Client

    place = examine()
    trouble = "" if place.base is not None else place.sentence()
    if home is not None:
        try:
            with Client(home, timeout=PATIENCE) as client:
                trouble = client.ping().get("memory_trouble") or ""
        except DaemonError as error:
            return Finding("memory", "ok", f"nobody knows whether a job's memory can be limited: {error}")
    if not trouble:
        return Finding("memory", "ok", "a job's memory can be limited (submit --memory)")
    what, _, advice = trouble.partition("; ")
    return Finding("memory", "ok", what, advice)


def silent(home: Home, pid: int | None, error: str) -> tuple[str, str]:
    """Why a daemon does not answer, and what to do."""
    if pid is None:
        return error, f"find out who holds it: fuser {home.lock}"
    again = f"kill {pid}, then trainq-cli daemon start; running jobs run on"
    state = surroundings.state_of(pid)
    if state == "T":
        return f"process {pid} has been stopped (SIGSTOP, or Ctrl-Z)", f"kill -CONT {pid}"
    if state == "D":
        return f"process {pid} waits for the disk", "see dmesg; it goes on when the disk does"
    try:
        socket = home.socket(REQUESTS)
    except TrainqError as wrong:
        return str(wrong), again
    if not socket.exists():
        return f"process {pid} runs, but somebody has removed its socket {socket}", again
    return f"{error} (pid {pid})", f"look at {home.log}; if it stays so: kill -9 {pid}, and start again; jobs run on"


def jobs(home: Home) -> Finding:
    """Runners without a daemon are as they should be; processes of jobs that have ended are not."""
    left = traces.of_ended(home)
    if left:
        named = ", ".join(f"{pid} (job {job})" for job, pid in left[:10])
        kill = "kill " + " ".join(str(pid) for _, pid in left[:10])
        return Finding("jobs", "warning", f"processes of jobs that have ended still live: {named}", kill)
    running = traces.running(home)
    if running and not guard.is_held(home.lock):
        return Finding("jobs", "ok", f"{running} run on without a daemon; the next one adopts them")
    return Finding("jobs", "ok", f"{running} run")


def pretence() -> Iterator[Finding]:
    """A description of pretend GPUs that no daemon could start with."""
    try:
        inventory()
    except ValueError as error:
        yield Finding("gpu", "problem", str(error), "mend it, or: unset TRAINQ_FAKE_GPUS")
