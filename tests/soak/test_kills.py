"""Nothing is ever lost: kill -9 at random moments, and what jobs, clients and daemon then say of it.

`bin/soak --kills 500 --jobs 3000 --seed 1` runs the long one. Both print their seed and a report.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


def drive(*options: object, module: str = "soak.drive") -> None:
    """The driver as a process of its own; fails the test when anything was violated, and leaves the evidence then."""
    folder = Path(tempfile.mkdtemp(prefix="trainq-soak-"))  # pytest would soon throw its own away
    command = [sys.executable, "-m", module, "--folder", str(folder / "soak"), *map(str, options)]
    with subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        try:
            for line in driver.stdout:
                print(line, end="", flush=True)
        except BaseException:
            driver.terminate()  # it ends all that it has started
            raise
    assert driver.returncode == 0, f"see the report; all of it lies in {folder}"
    shutil.rmtree(folder)


def seed_of(request: pytest.FixtureRequest) -> list[object]:
    seed = request.config.option.seed
    return [] if seed is None else ["--seed", seed]


@pytest.mark.timeout(600)
def test_a_short_one(request: pytest.FixtureRequest) -> None:
    """As many kills as there is time for."""
    drive("--kills", 6, "--jobs", 40, "--seconds", 6, *seed_of(request))


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_kill_soak(request: pytest.FixtureRequest) -> None:
    """All of the kills and jobs that were asked for; bounded by --minutes."""
    options = request.config.option
    wanted = ["--kills", options.kills, "--jobs", options.jobs, "--seconds", 60 * options.minutes]
    drive("--all", *wanted, *seed_of(request))
