"""`daemon start|stop|status` and `doctor`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainqueue import guard
from trainqueue.cli.common import NO_DAEMON, REFUSED, as_json, client, show_json, table
from trainqueue.errors import DaemonError, NoDaemonError
from trainqueue.home import Home

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 15.0
"""Seconds for a daemon to answer after its start, or to be gone after a stop."""


def the_home() -> Home:
    return Home.find(click.get_current_context().find_root().obj)


def ensure() -> None:
    """Start a daemon unless one serves the home. Raises NoDaemonError with its last words when it fails."""
    from trainqueue.client import Client

    home = the_home()
    if guard.is_held(home.lock) and home.endpoint_file.exists():
        return
    home.prepare()
    command = [sys.executable, "-m", "trainqueue.daemon", "--home", str(home.path)]
    ours = str(Path(__file__).resolve().parents[2])  # a checkout's path may be relative to where we are now
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH"))))}
    with (home.path / "start.err").open("wb") as words:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, start_new_session=True, cwd="/", env=env
        )
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if guard.is_held(home.lock) and home.endpoint_file.exists():
            try:
                Client(home, timeout=2).ping()
            except DaemonError:
                pass
            else:
                return
        if process.poll() not in {None, NO_DAEMON}:  # 3: another one was quicker; wait for that one
            break
        time.sleep(0.01)
    said = (home.path / "start.err").read_text(errors="replace").strip()
    msg = f"the daemon did not start: {said or f'see {home.log}'}"
    raise NoDaemonError(msg)


@click.group()
def daemon() -> None:
    """start, stop or status of the daemon."""


@daemon.command()
@as_json
def start(as_json: bool) -> None:  # noqa: FBT001
    """Start the daemon unless it runs."""
    ensure()
    tell(document=as_json)


@daemon.command()
@click.option("--cancel-jobs", is_flag=True, help="Cancel running jobs too; else they run on and are adopted later.")
def stop(cancel_jobs: bool) -> None:  # noqa: FBT001
    """Stop the daemon; running jobs run on."""
    client().shutdown("cancel" if cancel_jobs else "keep")
    deadline = time.monotonic() + PATIENCE * (4 if cancel_jobs else 1)
    while guard.is_held(the_home().lock):
        if time.monotonic() > deadline:
            msg = "the daemon has been told to stop and has not yet"
            raise DaemonError(msg)
        time.sleep(0.01)
    click.echo("stopped")


@daemon.command(name="status")
@as_json
def status_(as_json: bool) -> None:  # noqa: FBT001
    """Whether a daemon serves the home."""
    tell(document=as_json)


def tell(*, document: bool) -> None:
    found = client().ping()
    if document:
        show_json(found)
    else:
        click.echo(f"trainqd {found['version']} (pid {found['pid']}) serves {found['home']}")


@click.command()
@as_json
def doctor(as_json: bool) -> int:  # noqa: FBT001
    """Check home, disk, daemon and driver, and say what to do."""
    found = [*checks(the_home())]
    if as_json:
        show_json([{"check": name, "result": result, "advice": advice} for name, result, advice in found])
    else:
        table(("CHECK", "RESULT", "ADVICE"), found)
    return REFUSED if any(result == "fail" for _, result, _ in found) else 0


def checks(home: Home) -> Iterator[tuple[str, str, str]]:
    if not home.path.is_dir():
        yield "home", "warn", f"{home.path} does not exist yet; the first submit makes it"
        return
    mode = home.path.stat().st_mode & 0o777
    yield "home", "warn" if mode & 0o077 else "ok", f"{home.path} has mode {mode:o}"
    yield "writable", "ok" if os.access(home.path, os.W_OK) else "fail", f"{home.path}"
    free = shutil.disk_usage(home.path).free
    yield "disk", "ok" if free > 2**30 else "warn" if free > 50 * 2**20 else "fail", f"{free / 2**30:.1f} GiB free"
    yield from daemon_checks(home, alive=guard.is_held(home.lock))
    driver = os.path.exists("/proc/driver/nvidia/version")  # noqa: PTH110
    yield "gpu", "ok", "NVIDIA driver present" if driver else "no NVIDIA driver: the queue serves one slot, cpu:0"


def daemon_checks(home: Home, *, alive: bool) -> Iterator[tuple[str, str, str]]:
    if not alive:
        left = home.endpoint_file.exists()
        advice = "none runs" + (" (it left a stale endpoint file, which does no harm)" if left else "")
        yield "daemon", "warn", f"{advice}; start one with: trainq-cli daemon start"
        return
    try:
        pid = client().ping()["pid"]
    except DaemonError as error:
        yield "daemon", "fail", f"{error}; look at {home.log}"
    else:
        yield "daemon", "ok", f"answers, pid {pid}"
