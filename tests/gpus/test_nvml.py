"""What the driver shows becomes readings: every field for itself, whatever a driver or a GPU cannot tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from machine import GIB

from trainqueue.gpus import nvml

if TYPE_CHECKING:
    from machine import Machine

    from trainqueue.core.reading import Process, Reading
    from trainqueue.gpus.nvml import NvmlGpus

NOBODY = 2**22 + 1
"""No process has this pid: the kernel counts up to 2**22."""
MIB = 2**20


def seen(gpus: NvmlGpus) -> tuple[Reading, ...]:
    """All GPUs with processes; the test fails when the driver is in trouble."""
    sighting = gpus.look(None, processes=True)
    assert sighting.trouble is None
    assert sighting.whole
    return sighting.readings


def processes_on(gpus: NvmlGpus, index: int = 0) -> list[Process]:
    found = seen(gpus)[index].processes
    assert found is not None
    return [*found]


def test_all_that_a_gpu_tells(machine: Machine, gpus: NvmlGpus) -> None:
    machine.gpu(1, utilization=97, temperature=71, power=412_500, name="NVIDIA H100 PCIe")
    machine.process(machine.uuids()[1], 3 * GIB, pid=NOBODY)
    first, second = seen(gpus)
    assert (first.index, first.name, first.processes) == (0, "NVIDIA RTX 4090", ())
    assert (second.id, second.index, second.name) == (machine.uuids()[1], 1, "NVIDIA H100 PCIe")
    assert (second.memory_total, second.memory_used) == (24 * GIB, 3 * GIB + 10 * MIB)
    assert second.memory_reserved == 300 * MIB
    assert (second.utilization, second.temperature, second.power) == (97.0, 71.0, 412.5)
    assert second.measured
    assert second.trouble is None


def test_the_driver_is_initialised_once_and_handles_are_kept(machine: Machine, gpus: NvmlGpus) -> None:
    for _ in range(5):
        seen(gpus)
    assert machine.calls("nvmlInitWithFlags") == 1
    handles, lists = machine.calls("nvmlDeviceGetHandleByIndex_v2"), "nvmlDeviceGetComputeRunningProcesses_v3"
    asked = machine.calls(lists)
    assert gpus.look(None, processes=False).readings[0].processes is None
    assert machine.calls("nvmlDeviceGetHandleByIndex_v2") == handles <= 4
    assert machine.calls(lists) == asked, "lists are what costs the driver"


def test_a_look_at_one_gpu_is_at_that_one(machine: Machine, gpus: NvmlGpus) -> None:
    seen(gpus)
    sighting = gpus.look([machine.uuids()[1]], processes=True)
    assert not sighting.whole
    assert [reading.index for reading in sighting.readings] == [1]


def test_they_are_in_the_order_of_the_pci_bus(machine: Machine, gpus: NvmlGpus) -> None:
    machine.gpu(0, bus=0x81)
    machine.gpu(1, bus=0x02)
    assert [(reading.index, reading.id) for reading in seen(gpus)] == [*enumerate(reversed(machine.uuids()))]


OPTIONAL: dict[str, dict[str, Any]] = {
    "nvmlDeviceGetUtilizationRates": {"utilization": None},
    "nvmlDeviceGetTemperature": {"temperature": None},
    "nvmlDeviceGetPowerUsage": {"power": None},
    "nvmlDeviceGetMemoryInfo_v2": {"memory_used": 310 * MIB, "memory_reserved": 0},
    "nvmlDeviceGetPciInfo_v3": {},
    "nvmlDeviceGetMigMode": {},
    "nvmlDeviceGetComputeRunningProcesses_v3": {},
    "nvmlDeviceGetGraphicsRunningProcesses_v3": {},
    "nvmlEventSetCreate": {},
    "nvmlEventSetWait_v2": {},
    "nvmlDeviceRegisterEvents": {},
    "nvmlSystemGetDriverVersion": {},
}
"""What becomes of a reading where the driver lacks a function."""


@pytest.mark.parametrize("function", OPTIONAL)
@pytest.mark.parametrize("how", ["missing", "NOT_SUPPORTED", "UNKNOWN"])
def test_what_cannot_be_told_leaves_the_rest(machine: Machine, gpus: NvmlGpus, function: str, how: str) -> None:
    machine.gpu(0, utilization=50)
    whole = seen(gpus)[0]
    gpus.close()
    before = machine.calls()
    machine.change(**({"missing": [function]} if how == "missing" else {"errors": {function: how}}))
    forget_functions()
    reading = seen(gpus)[0]
    assert machine.calls() > before
    wanted = OPTIONAL[function] | ({"processes": None} if how == "UNKNOWN" and "Process" in function else {})
    for field in ("utilization", "temperature", "power", "memory_used", "memory_reserved", "processes", "trouble"):
        assert getattr(reading, field) == wanted.get(field, getattr(whole, field)), field


def test_nothing_but_six_functions_is_needed(machine: Machine, gpus: NvmlGpus) -> None:
    from fakenvml import FUNCTIONS

    needed = {"nvmlInitWithFlags", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetUUID"}
    machine.change(missing=[*(FUNCTIONS.keys() - needed - {"nvmlDeviceGetName", "nvmlDeviceGetMemoryInfo"})])
    for reading in seen(gpus):
        assert (reading.memory_used, reading.memory_total) == (310 * MIB, 24 * GIB)
        assert (reading.processes, reading.trouble) == ((), None)
    assert gpus.notes() == ["the NVIDIA driver cannot list processes (GPU 0, 1): programs of others are not noticed"]


def test_a_gpu_that_shares_the_memory_of_the_machine_cannot_tell_of_it(machine: Machine, gpus: NvmlGpus) -> None:
    machine.gpu(0, errors=dict.fromkeys(["nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"], "NOT_SUPPORTED"))
    reading = seen(gpus)[0]
    assert (reading.memory_total, reading.memory_used, reading.trouble) == (None, None, None)


# -- processes


def test_one_that_computes_and_draws_is_one_process(machine: Machine, gpus: NvmlGpus) -> None:
    uuid = machine.uuids()[0]
    machine.process(uuid, 2 * GIB, pid=NOBODY, graphics=True)
    machine.process(uuid, None, pid=NOBODY + 1)
    machine.process(uuid, GIB // 2, pid=NOBODY + 2, graphics=True, compute=False)
    found = {process.pid: (process.memory, process.ignored) for process in processes_on(gpus)}
    assert found == {NOBODY: (2 * GIB, False), NOBODY + 1: (None, False), NOBODY + 2: (GIB // 2, True)}


@pytest.mark.parametrize("kind", ["Compute", "Graphics"])
def test_an_older_driver_lists_them_by_another_function(machine: Machine, gpus: NvmlGpus, kind: str) -> None:
    machine.change(missing=[f"nvmlDeviceGet{kind}RunningProcesses_v3"])
    machine.process(machine.uuids()[0], GIB, pid=NOBODY, graphics=kind == "Graphics", compute=kind == "Compute")
    assert [process.pid for process in processes_on(gpus)] == [NOBODY]
    assert machine.calls(f"nvmlDeviceGet{kind}RunningProcesses_v2") > 0


def test_a_list_that_failed_is_not_an_empty_one(machine: Machine, gpus: NvmlGpus) -> None:
    machine.gpu(0, errors={"nvmlDeviceGetComputeRunningProcesses": "UNKNOWN"})
    assert [reading.processes for reading in seen(gpus)] == [None, ()]
    assert gpus.notes() == ["GPU 0 is not given to jobs: the driver does not tell who is on it (Unknown Error)"]
    machine.gpu(0, errors={})
    assert seen(gpus)[0].processes == ()
    assert gpus.notes() == []


def test_processes_of_another_pid_namespace_are_noticed(machine: Machine, gpus: NvmlGpus) -> None:
    machine.process(machine.uuids()[0], GIB, pid=NOBODY)
    [process] = processes_on(gpus)
    assert (process.job, process.user, process.command) == (None, None, None)
    assert "--pid=host" in gpus.notes()[0]
    machine.process(machine.uuids()[1], GIB, pid=1)
    seen(gpus)
    assert gpus.notes() == []


@pytest.mark.parametrize(
    ("version", "wrong"), [("535.54.03", True), ("535.86.10", True), ("535.104.05", False), ("550.1", False)]
)
def test_drivers_that_list_wrongly_are_named(machine: Machine, gpus: NvmlGpus, version: str, wrong: bool) -> None:  # noqa: FBT001
    machine.change(driver=version)
    seen(gpus)
    assert any("lists processes wrongly" in note for note in gpus.notes()) == wrong


# -- MIG

LEAVES = [
    {"uuid": "MIG-a", "name": "NVIDIA A100 MIG 3g.20gb", "memory": 20 * GIB, "instance": 1, "place": 0},
    {"uuid": "MIG-b", "name": "NVIDIA A100 MIG 3g.20gb", "memory": 20 * GIB, "instance": 2, "place": 4},
]


def test_mig_devices_stand_in_the_place_of_their_gpu(machine: Machine, gpus: NvmlGpus) -> None:
    machine.gpu(0, mig=LEAVES)
    machine.process("MIG-b", GIB, pid=NOBODY)
    a, b, other = seen(gpus)
    assert [(one.id, one.index) for one in (a, b)] == [("MIG-a", 0), ("MIG-b", 1)]
    assert (other.id, other.index) == (machine.uuids()[1], 2)
    assert (b.memory_total, b.memory_used, b.utilization, b.power) == (20 * GIB, GIB, None, None)
    assert [len(one.processes or ()) for one in (a, b)] == [0, 1]


def test_a_machine_whose_gpus_have_no_part_says_so(machine: Machine, gpus: NvmlGpus) -> None:
    machine.change(errors={"nvmlDeviceGetMigDeviceHandleByIndex": "NOT_FOUND"})
    for index in (0, 1):
        machine.gpu(index, mig=LEAVES)
    assert "into no part" in str(gpus.look(None, processes=True).trouble)


def test_a_gpu_that_is_divided_later_is_noticed(
    machine: Machine, gpus: NvmlGpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(seen(gpus)) == 2
    machine.gpu(0, mig=LEAVES)
    monkeypatch.setattr(nvml, "SURVEY", 0.0)
    assert [reading.id for reading in seen(gpus)] == ["MIG-a", "MIG-b", machine.uuids()[1]]


def test_errors_of_a_mig_device_are_its_own(machine: Machine, gpus: NvmlGpus) -> None:
    machine.gpu(0, mig=LEAVES)
    seen(gpus)
    machine.xid(machine.uuids()[0], 31, instance=2)
    machine.xid(machine.uuids()[0], 48)
    assert [reading.xids for reading in seen(gpus)] == [(48,), (31, 48), ()]


# -- errors that the driver reports


def test_errors_are_told_once_and_with_their_gpu(machine: Machine, gpus: NvmlGpus) -> None:
    first, second = machine.uuids()
    seen(gpus)
    machine.xid(second, 79)
    machine.xid(second, 48)
    assert gpus.look([first], processes=False).readings[0].xids == ()
    assert [reading.xids for reading in seen(gpus)] == [(), (79, 48)]
    assert [reading.xids for reading in seen(gpus)] == [(), ()]


def test_a_gpu_that_falls_off_the_bus_tells_so_and_is_lost(machine: Machine, gpus: NvmlGpus) -> None:
    seen(gpus)
    machine.gpu(1, error="GPU_IS_LOST")
    machine.xid(machine.uuids()[1], 79)
    lost = seen(gpus)[1]
    assert lost.xids == (79,)
    assert lost.trouble is not None
    assert "GPU is lost" in lost.trouble


def forget_functions() -> None:
    """The binding keeps what it has found in the library."""
    from fakenvml import pynvml

    pynvml._nvmlGetFunctionPointer_cache.clear()


def test_a_mig_device_that_does_not_answer_is_in_trouble_by_itself(machine: Machine, gpus: NvmlGpus) -> None:
    """Not its GPU, nor its neighbours, and it keeps its name."""
    machine.gpu(0, mig=LEAVES)
    assert [reading.id for reading in seen(gpus)] == ["MIG-a", "MIG-b", machine.uuids()[1]]
    size = {"nvmlDeviceGetMemoryInfo": "UNKNOWN", "nvmlDeviceGetMemoryInfo_v2": "UNKNOWN"}
    for errors in (size, {"nvmlDeviceGetUUID": "UNKNOWN"}):
        machine.gpu(0, mig=[LEAVES[0], {**LEAVES[1], "errors": errors}])
        gpus.close()  # it begins anew
        a, b, other = seen(gpus)
        assert [one.id for one in (a, b, other)] == ["MIG-a", "MIG-b", machine.uuids()[1]]
        assert [one.trouble is None for one in (a, b, other)] == [True, False, True]
        assert (b.name, b.memory_total) == ("NVIDIA A100 MIG 3g.20gb", 20 * GIB)


def test_a_divided_gpu_that_does_not_answer_is_still_its_parts(machine: Machine, gpus: NvmlGpus) -> None:
    machine.gpu(0, mig=LEAVES)
    assert len(seen(gpus)) == 3
    machine.gpu(0, errors={"nvmlDeviceGetMigMode": "GPU_IS_LOST"})
    gpus.close()
    a, b, _ = seen(gpus)
    assert [(one.id, one.trouble is None) for one in (a, b)] == [("MIG-a", False), ("MIG-b", False)]
