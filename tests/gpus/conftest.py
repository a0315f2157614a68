"""Fixtures: a pretend machine that this process sees, and what stands for the arbiter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakenvml import install, uninstall
from house import Told
from machine import Machine

from trainqueue.gpus.nvml import NvmlGpus
from trainqueue.gpus.owners import Owners
from trainqueue.settings import GpuSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainqueue.home import Home


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine.build(tmp_path / "machine")
    install(made)
    yield made
    uninstall()


@pytest.fixture
def gpus(machine: Machine, home: Home) -> Iterator[NvmlGpus]:
    del machine  # it must be there
    made = NvmlGpus(Owners(home.path, GpuSettings()))
    yield made
    made.close()


@pytest.fixture
def arbiter() -> Iterator[Told]:
    """Stands for the arbiter."""
    made = Told()
    yield made
    made.close()
