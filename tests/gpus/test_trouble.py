"""Drivers that do not work, and GPUs that go and come back: said in words, and nothing else suffers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from machine import GIB, pretend

from trainqueue.gpus import nvml

if TYPE_CHECKING:
    from machine import Machine

    from trainqueue.gpus.nvml import NvmlGpus

TROUBLE = {
    "DRIVER_NOT_LOADED": "the NVIDIA driver is not loaded",
    "LIB_RM_VERSION_MISMATCH": "the NVIDIA driver was updated while the old one is still loaded",
    "LIBRARY_NOT_FOUND": "libnvidia-ml.so.1, cannot be loaded",
    "FUNCTION_NOT_FOUND": "the NVIDIA driver is too old",
    "NO_PERMISSION": "may not use the NVIDIA driver",
    "UNKNOWN": "the NVIDIA driver does not work (Unknown Error)",
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for wait in ("RETRY", "SOON"):
        monkeypatch.setattr(nvml, wait, 0.0)


@pytest.mark.parametrize("error", TROUBLE)
def test_a_driver_that_does_not_work_is_tried_again(
    machine: Machine, gpus: NvmlGpus, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    machine.change(init_error=error)
    sighting = gpus.look(None, processes=True)
    assert (sighting.readings, sighting.whole) == ((), True)
    assert TROUBLE[error] in str(sighting.trouble)
    machine.change(init_error=None)
    assert gpus.look([machine.uuids()[0]], processes=True) == sighting, "not before its time"
    assert machine.calls("nvmlInitWithFlags") == 1
    monkeypatch.setattr(nvml, "RETRY", 0.0)
    assert len(gpus.look(None, processes=True).readings) == 2


@pytest.mark.usefixtures("impatient")
def test_a_driver_that_stops_working_is_begun_anew(machine: Machine, gpus: NvmlGpus) -> None:
    assert len(gpus.look(None, processes=True).readings) == 2
    machine.change(errors={"nvmlDeviceGetCount_v2": "DRIVER_NOT_LOADED"})
    assert "is not loaded" in str(gpus.look(None, processes=True).trouble)
    machine.change(errors={})
    assert len(gpus.look(None, processes=True).readings) == 2
    assert machine.calls("nvmlShutdown") == 1


@pytest.mark.usefixtures("impatient")
def test_a_driver_without_a_gpu_is_trouble(machine: Machine, gpus: NvmlGpus) -> None:
    machine.change(gpus=[])
    assert "finds no GPU" in str(gpus.look(None, processes=True).trouble)
    machine.change(gpus=[pretend(0, 24 * GIB)])
    assert len(gpus.look(None, processes=True).readings) == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("error", ["GPU_IS_LOST", "UNKNOWN", "RESET_REQUIRED", "IN_USE", "NO_PERMISSION"])
def test_one_gpu_goes_and_comes_back(machine: Machine, gpus: NvmlGpus, error: str) -> None:
    gpus.look(None, processes=True)
    machine.gpu(0, error=error)
    lost, other = gpus.look(None, processes=True).readings
    assert (lost.id, lost.index, lost.name) == (machine.uuids()[0], 0, "NVIDIA RTX 4090")
    assert (lost.memory_total, lost.memory_used, lost.processes) == (24 * GIB, None, None)
    assert lost.trouble
    assert (other.trouble, other.processes) == (None, ())
    assert gpus.look(None, processes=True).readings[0].trouble, "it is lost for as long as it is"
    machine.gpu(0, error=None)
    assert [reading.trouble for reading in gpus.look(None, processes=True).readings] == [None, None]


@pytest.mark.usefixtures("impatient")
def test_a_gpu_that_was_reset_is_back_for_those_only_who_begin_anew(machine: Machine, gpus: NvmlGpus) -> None:
    gpus.look(None, processes=True)
    machine.gpu(1, generation=1)
    assert gpus.look(None, processes=True).readings[1].trouble
    assert gpus.look(None, processes=True).readings[1].trouble is None
    assert machine.calls("nvmlInitWithFlags") == 2


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("function", ["nvmlDeviceGetUtilizationRates", "nvmlDeviceGetComputeRunningProcesses"])
def test_whatever_it_was_asked_when_it_was_lost(machine: Machine, gpus: NvmlGpus, function: str) -> None:
    gpus.look(None, processes=True)
    machine.gpu(0, errors={function: "GPU_IS_LOST"})
    for _ in range(2):
        lost, other = gpus.look(None, processes=True).readings
        assert "GPU is lost" in str(lost.trouble)
        assert other.trouble is None


@pytest.mark.usefixtures("impatient")
def test_one_that_has_never_answered_has_no_name_and_keeps_its_place(machine: Machine, gpus: NvmlGpus) -> None:
    machine.gpu(0, error="GPU_IS_LOST")
    [other] = gpus.look(None, processes=True).readings
    assert (other.id, other.index) == (machine.uuids()[1], 1)
    assert gpus.notes()[0].startswith("GPU 0 cannot be used: the driver has lost it")
    machine.gpu(0, error=None)
    assert [reading.index for reading in gpus.look(None, processes=True).readings] == [0, 1]
    assert gpus.notes() == []


@pytest.mark.usefixtures("impatient")
def test_where_none_has_ever_answered_the_machine_is_in_trouble(machine: Machine, gpus: NvmlGpus) -> None:
    for index in (0, 1):
        machine.gpu(index, error="GPU_IS_LOST")
    assert "finds no GPU that works: GPU 0: the driver has lost it" in str(gpus.look(None, processes=True).trouble)
    machine.gpu(1, error=None)
    assert [reading.index for reading in gpus.look(None, processes=True).readings] == [1]


def test_one_with_a_name_that_cannot_be_read_is_there_with_its_trouble(machine: Machine, gpus: NvmlGpus) -> None:
    machine.gpu(0, errors={"nvmlDeviceGetMemoryInfo_v2": "UNKNOWN", "nvmlDeviceGetMemoryInfo": "UNKNOWN"})
    bad, good = gpus.look(None, processes=True).readings
    assert (bad.id, bad.index, good.index) == (machine.uuids()[0], 0, 1)
    assert "the driver cannot read it (Unknown Error)" in str(bad.trouble)


def test_one_more_and_one_less(machine: Machine, gpus: NvmlGpus) -> None:
    first, second = machine.uuids()
    gpus.look(None, processes=True)
    machine.change(gpus=[*machine.read()["gpus"], pretend(2, 80 * GIB)])
    assert [reading.index for reading in gpus.look(None, processes=True).readings] == [0, 1, 2]
    machine.change(gpus=machine.read()["gpus"][1:])
    sighting = gpus.look([first], processes=True)
    assert sighting.whole, "so that the one that was asked for is missed"
    assert [reading.id for reading in sighting.readings] == [second, machine.uuids()[1]]


def test_a_library_that_raises_anything_is_a_driver_that_does_not_work(
    machine: Machine, gpus: NvmlGpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fakenvml

    def broken(*_: object) -> None:
        msg = "what is this"
        raise OSError(msg)

    monkeypatch.setitem(fakenvml.FUNCTIONS, "nvmlInitWithFlags", broken)
    assert "does not work (what is this)" in str(gpus.look(None, processes=True).trouble)
    assert machine.calls("nvmlInitWithFlags") == 1
