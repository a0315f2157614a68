"""`doctor`: looks at all that a queue needs, and says what to do where something is wrong."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from typing import TYPE_CHECKING

import click

from trainqueue import guard
from trainqueue.cli.common import REFUSED, as_json, client, show_json
from trainqueue.cli.daemon import the_home
from trainqueue.cli.screen import table
from trainqueue.errors import DaemonError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.home import Home

Row = tuple[str, str, str]
LOW, NONE = 2**30, 50 * 2**20
"""Free bytes below which the disk is worth a warning, and below which nothing works for long."""
OLDEST = 1_750_000_000
"""This was written later (seconds since 1970): a clock that shows an earlier time is wrong."""


@click.command()
@as_json
def doctor(as_json: bool) -> int:  # noqa: FBT001
    """Check settings, home, disk, clock, daemon and driver, and say what to do."""
    found = [*checks(the_home())]
    if as_json:
        show_json([{"check": name, "result": result, "advice": advice} for name, result, advice in found])
    else:
        table(("CHECK", "RESULT", "ADVICE"), found)
    return REFUSED if any(result == "fail" for _, result, _ in found) else 0


def checks(home: Home) -> Iterator[Row]:
    found = [settings(), *home_checks(home)]
    yield from found
    yield disk(home)
    yield clock(home)
    yield daemon(home, startable=all(result != "fail" for _, result, _ in found))
    yield "gpu", "ok", gpu()


def gpu() -> str:
    if os.environ.get("TRAINQ_FAKE_GPUS"):
        return f"TRAINQ_FAKE_GPUS is set: a daemon started here pretends to have {os.environ['TRAINQ_FAKE_GPUS']}"
    if os.path.exists("/proc/driver/nvidia/version"):  # noqa: PTH110
        return "NVIDIA driver present"
    return "no NVIDIA driver: the queue serves one slot, cpu:0"


def settings() -> Row:
    from trainqueue.settings import load

    try:
        load()
    except SettingsError as error:
        return "settings", "fail", f"{error}; mend it, or move it away to have the defaults"
    return "settings", "ok", "can be read"


def home_checks(home: Home) -> Iterator[Row]:
    path = home.path
    if not path.exists():
        yield "home", "warn", f"{path} does not exist yet; the first submit makes it"
    elif not path.is_dir():
        yield "home", "fail", f"{path} is not a folder; name another with TRAINQ_HOME or --home"
    elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield "home", "fail", f"{path} belongs to somebody else; name another with TRAINQ_HOME or --home"
    else:
        mode = path.stat().st_mode & 0o777
        closed = f"{path} has mode {mode:o}"
        yield ("home", "warn", f"{closed}; close it: chmod 700 {path}") if mode & 0o077 else ("home", "ok", closed)
        yield database(home)


def database(home: Home) -> Row:
    if not home.database.exists():
        return "database", "ok", "none yet"
    try:
        found = sqlite3.connect(f"{home.database.as_uri()}?mode=ro", uri=True)
        try:
            said = str(found.execute("PRAGMA quick_check(1)").fetchone()[0])
        finally:
            found.close()
    except sqlite3.Error as error:
        said = str(error)
    if said == "ok":
        return "database", "ok", "is whole"
    return "database", "fail", f"{home.database}: {said}; restore it, or move it away to begin anew with an empty queue"


def disk(home: Home) -> Row:
    place = next(path for path in (home.path, *home.path.parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    result = "ok" if free > LOW else "warn" if free > NONE else "fail"
    return "disk", result, f"{free / 2**30:.1f} GiB free" + ("" if result == "ok" else f"; make room below {place}")


def clock(home: Home) -> Row:
    now = time.time()
    newest = max((path.stat().st_mtime for path in (home.database, home.log) if os.access(path, os.R_OK)), default=0.0)
    if now < max(OLDEST, newest - 60):
        return "clock", "fail", f"it shows {time.ctime(now)}, which is over already; set it: timedatectl set-ntp true"
    return "clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now))


def daemon(home: Home, *, startable: bool) -> Row:
    if not guard.is_held(home.lock):
        advice = "start one with: trainq-cli daemon start" if startable else "none can start before the above is mended"
        return "daemon", "warn" if startable else "fail", f"none runs; {advice}"
    try:
        pid = client().ping()["pid"]
    except DaemonError as error:
        return "daemon", "fail", f"{error}; look at {home.log}"
    return "daemon", "ok", f"answers, pid {pid}"
