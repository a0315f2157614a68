"""What `doctor` says about the machine around: runtime folder, limits, the login session."""

from __future__ import annotations

import os
import pwd
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trainqueue.errors import TrainqError
from trainqueue.home import REQUESTS
from trainqueue.launch.processes import look

if TYPE_CHECKING:
    from trainqueue.home import Home

Said = tuple[Literal["ok", "warning", "problem"], str, str]
ENOUGH = 4096
"""Open files; each connected client takes one, each job a few."""


def runtime_folder(home: Home) -> Said:
    """Where the home's path is too long for a socket."""
    try:
        socket = home.socket(REQUESTS)
    except (TrainqError, OSError) as error:
        return "problem", f"there is no place for the daemon's socket: {error}", "use a shorter path for the home"
    if socket.parent == home.path:
        return "ok", "it lies in the home", ""
    if not os.environ.get("XDG_RUNTIME_DIR"):
        short = "a program that has it set would look elsewhere: use a home whose path has less than 90 bytes"
        return "warning", f"the home's path is long and XDG_RUNTIME_DIR not set, so it lies in {socket.parent}", short
    return "ok", f"the home's path is long, so it lies in {socket.parent}", ""


def file_limit(daemon: int | None) -> Said:
    """The hard limit, up to which a daemon raises its own."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if daemon is not None:
        try:
            hard = resource.prlimit(daemon, resource.RLIMIT_NOFILE)[1]
        except OSError:
            return "ok", "the daemon's limit cannot be seen from here", ""
    who = "the daemon" if daemon is not None else "a daemon started here"
    if hard != resource.RLIM_INFINITY and hard < ENOUGH:
        more = "raise it (ulimit -Hn, LimitNOFILE= in a unit) and start the daemon again"
        return "warning", f"{who} may open only {hard} files: some hundred clients and no more", more
    return "ok", f"{who} may open {'any number of' if hard == resource.RLIM_INFINITY else hard} files", ""


def state_of(pid: int) -> str:
    """The letter of a process's state, as in ps; empty when there is none."""
    found = look(pid)
    return "" if found is None else found.state


def session(daemon: int | None) -> Said:
    """Whether the daemon's jobs outlive the login."""
    try:
        group = Path(f"/proc/{daemon or 'self'}/cgroup").read_text(encoding="utf-8")
    except OSError:
        group = ""
    user = pwd.getpwuid(os.getuid()).pw_name if daemon is not None else ""
    if daemon is None:
        return "ok", "no daemon runs that could end with it", ""
    if f"user@{os.getuid()}.service" in group and not Path(f"/var/lib/systemd/linger/{user}").exists():
        return "warning", "the daemon, and its jobs, end with your last login session", "loginctl enable-linger"
    if "/session-" in group and kills_user_processes():
        return (
            "warning",
            "this machine ends what you have started when you log out (KillUserProcesses)",
            "run the daemon as a user unit: trainq-cli daemon install",
        )
    return "ok", "the daemon outlives it", ""


def kills_user_processes() -> bool:
    for folder in ("/etc/systemd/logind.conf", *sorted(map(str, Path("/etc/systemd/logind.conf.d").glob("*.conf")))):
        try:
            lines = Path(folder).read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        if any(line.replace(" ", "").lower() == "killuserprocesses=yes" for line in lines):
            return True
    return False
