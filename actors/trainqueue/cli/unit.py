"""The daemon as a user's service of systemd: the text of its unit, and where it goes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from trainqueue.cells import OURS, SUBGROUP
from trainqueue.errors import TrainqError

if TYPE_CHECKING:
    from trainqueue.home import Home

NAME = "trainqd.service"
ASK = ("systemctl", "--version")
BOOTED = Path("/run/systemd/system")
"""Is there where systemd runs the machine."""
TEXT = """\
[Unit]
Description=trainq, the job queue for this machine's GPUs

[Service]
ExecStart={command}
{environment}{delegation}# Running jobs outlive the daemon, and one that needs too much memory ends alone.
KillMode=process
OOMPolicy=continue
Restart=on-failure
RestartSec=2

[Install]
WantedBy=default.target
"""
DELEGATION = f"""\
# So that the memory of jobs can be limited (submit --memory).
Delegate=yes
DelegateSubgroup={OURS}
"""


def version() -> int | None:
    """Of the systemd that runs this machine; None where none does."""
    if not BOOTED.is_dir():
        return None
    try:
        said = subprocess.run(ASK, capture_output=True, text=True, check=False, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"systemd (\d+)", said)
    return int(found[1]) if found else None


def place() -> Path:
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "systemd" / "user" / NAME


def text(home: Home, systemd: int, source: Path) -> str:
    """`source` is the folder that the package is imported from."""
    given = {"PYTHONPATH": str(source)} if "site-packages" not in source.parts else {}
    given |= {name: os.environ[name] for name in ("TRAINQ_CONFIG", "XDG_CONFIG_HOME") if os.environ.get(name)}
    command = [sys.executable, "-m", "trainqueue.daemon", "--home", str(home.path)]
    return TEXT.format(
        command=" ".join(quoted(word).replace("$", "$$") for word in command),  # elsewhere it means nothing
        environment="".join(f"Environment={quoted(f'{name}={value}')}\n" for name, value in given.items()),
        delegation=DELEGATION if systemd >= SUBGROUP else "",  # why not: cells.py
    )


def quoted(word: str) -> str:
    """As a unit file takes it."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{plain}"'


def install(home: Home) -> tuple[Path, int]:
    """Writes the unit; where, and for which systemd. Raises TrainqError where there is none, OSError."""
    systemd = version()
    if systemd is None:
        msg = "systemd does not run this machine: nothing was written. Start the daemon with: trainq-cli daemon start"
        raise TrainqError(msg)
    path = place()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(text(home, systemd, Path(__file__).resolve().parents[2]), encoding="utf-8")
    new.rename(path)
    return path, systemd
