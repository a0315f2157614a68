"""`daemon start|stop|status|install`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import click

from trainqueue import capture, guard
from trainqueue.cli import banner
from trainqueue.cli.common import NO_DAEMON, as_json, client, show_json
from trainqueue.errors import DaemonError, NoDaemonError
from trainqueue.home import Home

PATIENCE = 15.0
"""Seconds for a daemon to answer after its start, or to be gone after a stop."""
INSIDE = (
    "no daemon runs, and one started from within a job would end with that job, with all that it runs; "
    "start it from outside: trainq-cli daemon start"
)


def the_home() -> Home:
    return Home.find(click.get_current_context().find_root().obj)


def ensure() -> None:
    """Start a daemon unless one serves the home. Raises NoDaemonError with its last words when it fails."""
    home = the_home()
    if not guard.is_held(home.lock):
        if capture.inside_a_job():
            raise NoDaemonError(INSIDE)
        home.prepare()
        start_one(home)


def start_one(home: Home) -> None:
    """Start daemons until one of them, or one that was quicker, answers."""
    process: subprocess.Popen[bytes] | None = None
    words = os.memfd_create("trainqd-words")  # a file would be mute on a full disk
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process is None and not guard.is_held(home.lock):
            process = spawn(home, words)
        if guard.is_held(home.lock) and answers(home):
            os.close(words)
            return
        code = None if process is None else process.poll()
        if code == NO_DAEMON:
            process = None  # another one was quicker; wait for that one
        elif code is not None:
            break
        time.sleep(0.01)
    said = os.pread(words, 65536, 0).decode(errors="replace").strip().splitlines()
    os.close(words)
    more = "" if said else f" (look at {home.log})"
    msg = f"the daemon did not start: {said[-1] if said else 'it said nothing'}{more}"
    raise NoDaemonError(msg)


def spawn(home: Home, words: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "trainqueue.daemon", "--home", str(home.path)]
    ours = str(Path(__file__).resolve().parents[2])  # a checkout's path may be relative to where we are now
    env = capture.outer_environment()
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (ours, env.get("PYTHONPATH"))))
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, start_new_session=True, cwd="/", env=env
    )


def answers(home: Home) -> bool:
    from trainqueue.client import Client

    with Client(home, timeout=2) as trainq:
        try:
            trainq.ping()
        except DaemonError:
            return False
    return True


@click.group()
def daemon() -> None:
    """start, stop, status or install of the daemon."""


@daemon.command()
@as_json
def start(as_json: bool) -> None:  # noqa: FBT001
    """Start the daemon unless it runs."""
    ensure()
    tell(document=as_json)


@daemon.command()
@click.option("--cancel-jobs", is_flag=True, help="Cancel running jobs too; else they run on and are adopted later.")
@as_json
def stop(cancel_jobs: bool, as_json: bool) -> None:  # noqa: FBT001
    """Stop the daemon; running jobs run on."""
    client().shutdown("cancel" if cancel_jobs else "keep")
    deadline = time.monotonic() + PATIENCE * (4 if cancel_jobs else 1)
    while guard.is_held(the_home().lock):
        if time.monotonic() > deadline:
            msg = "the daemon has been told to stop and has not yet"
            raise DaemonError(msg)
        time.sleep(0.01)
    if as_json:
        show_json({"stopped": True})
    else:
        click.echo("stopped")


@daemon.command(name="status")
@as_json
def status_(as_json: bool) -> None:  # noqa: FBT001
    """Whether a daemon serves the home."""
    tell(document=as_json)


@daemon.command(name="install")
@as_json
def install_(as_json: bool) -> None:  # noqa: FBT001
    """Write a systemd user unit, so that the daemon runs from the start of the machine."""
    from trainqueue.cells import SUBGROUP
    from trainqueue.cli import unit

    home = the_home()
    path, systemd = unit.install(home)
    if as_json:
        show_json({"unit": str(path), "systemd": systemd, "memory_limits": systemd >= SUBGROUP})
        return
    click.echo(f"written: {path}")
    click.echo("next:")
    if guard.is_held(home.lock):
        click.echo("  trainq-cli daemon stop       # the one that runs now; running jobs run on")
    click.echo(f"  systemctl --user daemon-reload && systemctl --user enable --now {unit.NAME}")
    click.echo("  loginctl enable-linger       # so that it runs while you are not logged in")
    if systemd < SUBGROUP:
        click.echo(f"Jobs' memory cannot be limited: that needs systemd {SUBGROUP}, and this is {systemd}.")


def tell(*, document: bool) -> None:
    found = client().ping()
    if document:
        show_json(found)
    else:
        click.echo(f"trainqd {found['version']} (pid {found['pid']}) serves {found['home']}")
        banner.say(found)
