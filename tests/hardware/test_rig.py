"""The rig itself, dry: the tests of this folder on a pretend machine, a real daemon and real processes without CUDA.

They must pass here before a real GPU is asked. PyTorch's are left out, and those that measure the driver.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hardware import rig as rigs
from hardware import test_neighbours, test_release, test_training
from hardware.rig import PROGRAMS, Device, Rig
from lab import lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trainqueue.home import Home

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def dry(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    with lab(home, settings="settle_time = 1.0") as on:

        def hold(**options: object) -> list[str]:
            shorter = {"seconds": 0.2} if options.get("seconds") == 1 else {}
            _, _, *words = rigs.hold(**options | shorter)
            return [sys.executable, str(PROGRAMS / "hold_on_fake.py"), str(on.machine.folder), *words]

        for module in (test_neighbours, test_release, test_training):
            monkeypatch.setattr(module, "hold", hold)
        monkeypatch.setattr(test_neighbours, "SEEN", 1.5)
        [gpu] = on.machine.read()["gpus"]
        yield Rig(on.client, Device(0, gpu["uuid"], gpu["name"], gpu["memory"], "550.54.14"))


@pytest.fixture
def rows() -> list[tuple[str, str, str]]:
    return []


@pytest.fixture
def record(rows: list[tuple[str, str, str]]) -> Callable[[str, str, str], None]:
    return lambda measure, value, beside: rows.append((measure, value, beside))


def test_a_foreign_process(dry: Rig, tmp_path: Path, record: Callable[[str, str, str], None]) -> None:
    test_neighbours.test_a_foreign_process_keeps_jobs_away(dry, tmp_path, record)


def test_sharing(
    dry: Rig, tmp_path: Path, record: Callable[[str, str, str], None], rows: list[tuple[str, str, str]]
) -> None:
    test_neighbours.test_two_jobs_share_and_a_third_waits(dry, tmp_path, record)
    assert [value for _, value, _ in rows] == ["6444 MiB", "6444 MiB"]


def test_auto(dry: Rig, record: Callable[[str, str, str], None]) -> None:
    test_neighbours.test_auto_uses_the_peak_of_the_last_run(dry, record)


def test_a_disabled_gpu(dry: Rig) -> None:
    test_neighbours.test_a_disabled_gpu_is_left_alone(dry)


def test_release_and_hand_over(
    dry: Rig,
    tmp_path: Path,
    record: Callable[[str, str, str], None],
    rows: list[tuple[str, str, str]],
) -> None:
    test_release.test_the_memory_is_back_before_the_next_start(dry, tmp_path, record)
    test_release.test_the_hand_over(dry, tmp_path, record)
    assert len(rows) == 6


def test_out_of_memory_and_no_gpu(dry: Rig) -> None:
    test_training.test_an_out_of_memory_job_of_the_driver(dry)
    test_training.test_a_job_without_gpus_sees_none(dry)
