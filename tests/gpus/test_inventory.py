"""Which inventory a machine gets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trainqueue.gpus import FakeGpus, NoGpu, driver, inventory
from trainqueue.gpus.nvml import NvmlGpus
from trainqueue.settings import GpuSettings

if TYPE_CHECKING:
    from trainqueue.home import Home

LEAST = """
#include <stdio.h>
#include <string.h>
static int gpus[2];
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned at, void **handle) { *handle = &gpus[at]; return at < 2 ? 0 : 2; }
int nvmlDeviceGetUUID(void *handle, char *text, unsigned size) {
    snprintf(text, size, "GPU-%ld", (long)((int *)handle - gpus)); return 0; }
int nvmlDeviceGetName(void *handle, char *text, unsigned size) { strncpy(text, "Little GPU", size); return 0; }
int nvmlDeviceGetMemoryInfo(void *handle, unsigned long long *memory) {
    memory[0] = 8ull << 30; memory[1] = 7ull << 30; memory[2] = 1ull << 30; return 0; }
"""
LOOK = """
import sys
from pathlib import Path
from trainqueue.gpus import inventory
from trainqueue.home import Home
from trainqueue.settings import GpuSettings
for reading in inventory(GpuSettings(), Home(Path(sys.argv[1]))).look(None, processes=True).readings:
    print(reading.id, reading.index, reading.name, reading.memory_total, reading.memory_used, reading.trouble)
"""
ACTORS = Path(driver.__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def undescribed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINQ_FAKE_GPUS", raising=False)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without an NVIDIA driver."""
    monkeypatch.setattr(driver, "LIBRARY", "libnothing-of-this-name.so")
    monkeypatch.setattr(driver, "TRACES", ())


@pytest.mark.usefixtures("bare")
def test_without_a_driver_there_is_one_slot(home: Home) -> None:
    found = inventory(GpuSettings(), home)
    assert isinstance(found, NoGpu)
    [reading] = found.look(None, processes=True).readings
    assert (reading.id, reading.measured, reading.memory_total) == ("cpu:0", False, None)


@pytest.mark.usefixtures("bare")
def test_pretend_gpus_are_described(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINQ_FAKE_GPUS", "2x24GiB")
    found = inventory(GpuSettings(), home)
    assert isinstance(found, FakeGpus)
    readings = found.look(None, processes=True).readings
    assert [(reading.id, reading.index, reading.memory_total) for reading in readings] == [
        ("GPU-fake-0", 0, 24 * 2**30),
        ("GPU-fake-1", 1, 24 * 2**30),
    ]
    assert not any(reading.measured for reading in readings)


@pytest.mark.parametrize("described", ["many", "0x24GiB", "4x0GiB", "00x00GiB", "-1x24GiB", "2x24"])
def test_what_describes_no_gpu_is_refused(described: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINQ_FAKE_GPUS", described)
    with pytest.raises(ValueError, match=f"TRAINQ_FAKE_GPUS='{described}': expected something like 2x24GiB"):
        inventory()


@pytest.mark.usefixtures("machine")
def test_with_a_driver_they_are_measured_unless_nobody_wants_them(home: Home) -> None:
    assert isinstance(inventory(GpuSettings(), home), NvmlGpus)
    assert isinstance(inventory(GpuSettings(backend="none"), home), NoGpu)


@pytest.mark.usefixtures("bare")
def test_a_driver_whose_library_is_missing_is_a_broken_one(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs must wait for it, and not run without a GPU."""
    monkeypatch.setattr(driver, "TRACES", (str(tmp_path),))
    found = inventory(GpuSettings(), home)
    assert isinstance(found, NvmlGpus)
    if shutil.which("nvidia-smi") is None:
        assert "libnvidia-ml.so.1" in str(found.look(None, processes=True).trouble)


def test_a_c_library_that_can_only_do_the_least(home: Home, tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    source = tmp_path / "least.c"
    source.write_text(LEAST, encoding="ascii")
    build = ["cc", "-shared", "-fPIC", "-o", str(tmp_path / "libnvidia-ml.so.1"), str(source)]
    subprocess.run(build, check=True)
    env = {"LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": str(ACTORS), "PATH": os.environ["PATH"]}
    looked = [sys.executable, "-c", LOOK, str(home.path)]
    said = subprocess.run(looked, env=env, capture_output=True, text=True, check=True)
    sizes = f"{8 * 2**30} {2**30}"
    assert said.stdout.splitlines() == [f"GPU-{at} {at} Little GPU {sizes} None" for at in (0, 1)]


def test_nothing_of_it_is_loaded_where_there_is_no_gpu(home: Home) -> None:
    script = (
        "import sys; from trainqueue.gpus import inventory, driver; driver.LIBRARY, driver.TRACES = 'libno.so', ()\n"
        "from pathlib import Path; from trainqueue.home import Home; from trainqueue.settings import GpuSettings\n"
        "print(type(inventory(GpuSettings(), Home(Path('/nowhere')))).__name__, 'pynvml' in sys.modules)"
    )
    env = {"PYTHONPATH": str(ACTORS), "PATH": os.environ["PATH"]}
    said = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["NoGpu", "False"]
    del home
