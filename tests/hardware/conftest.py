"""Fixtures for a real GPU. Without one every test here is skipped, and says why.

`pytest -m hardware tests/hardware --hardware-table FILE` keeps the table that is printed at the end.
TRAINQ_HARDWARE_GPU names the GPU (index or UUID), TRAINQ_TORCH_PYTHON a Python that has PyTorch. What can be tried
without a GPU is tried with all other tests: test_programs.py against a stub of CUDA, test_rig.py on a pretend machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hardware.rig import Device, Rig, Row, find_device
from support import Daemon, wait_until

from trainqueue.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainqueue.home import Home

ROWS = pytest.StashKey[list[Row]]()
SETTINGS = """
[gpus]
settle_time = 5.0
"""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table, on the screen and in the file that was asked for."""
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    lines = [time.strftime("measured %Y-%m-%d %H:%M %Z"), *map(str, rows)]
    terminalreporter.section("hardware")
    for line in lines:
        terminalreporter.write_line(line)
    kept = config.getoption("--hardware-table")
    if kept:
        Path(kept).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> Device:
    found = find_device()
    pytestconfig.stash.setdefault(ROWS, []).append(Row(str(found), ""))
    return found


@pytest.fixture
def record(pytestconfig: pytest.Config) -> Callable[[str, str, str], None]:
    """Puts a line into the table: what was measured, the value with its unit, what to compare it with."""
    return lambda measure, value, beside: pytestconfig.stash.setdefault(ROWS, []).append(Row(measure, value, beside))


@pytest.fixture
def rig(device: Device, home: Home, tmp_path: Path) -> Iterator[Rig]:
    """A daemon that serves the machine's real GPUs, whatever the user's own settings are."""
    settings = tmp_path / "trainq.toml"
    settings.write_text(SETTINGS, encoding="utf-8")
    daemon = Daemon(home)
    daemon.env = {name: value for name, value in daemon.env.items() if name != "TRAINQ_FAKE_GPUS"}
    daemon.env |= {"TRAINQ_CONFIG": str(settings)}
    daemon.start()
    try:
        with Client(home) as client:
            made = Rig(client, device)
            wait_until(lambda: any(gpu["id"] == device.uuid for gpu in client.call("gpus")["gpus"]), 60)
            yield made
            client.shutdown("cancel")
        assert daemon.process is not None
        daemon.process.wait(60)
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()


@pytest.fixture(scope="session")
def torch_python() -> str:
    """A Python whose PyTorch can use CUDA: that of TRAINQ_TORCH_PYTHON, else this one."""
    chosen = os.environ.get("TRAINQ_TORCH_PYTHON") or sys.executable
    probe = "import torch; assert torch.cuda.is_available(), 'its PyTorch finds no CUDA'"
    tried = subprocess.run([chosen, "-c", probe], capture_output=True, text=True, timeout=300, check=False)
    if tried.returncode:
        pytest.skip(f"needs PyTorch with CUDA; {chosen}: {tried.stderr.strip().splitlines()[-1]}")
    return chosen
