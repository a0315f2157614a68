"""The fake NVML itself, through the real pynvml: what other tests build on."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from fakegpus import GpuDaemon, gpujob
from fakenvml import pynvml
from machine import GIB
from support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from machine import Machine

    from trainqueue.home import Home


def test_the_real_binding_reads_it(machine: Machine) -> None:
    pynvml.nvmlInit()
    assert pynvml.nvmlDeviceGetCount() == 2
    handle = pynvml.nvmlDeviceGetHandleByIndex(1)
    assert pynvml.nvmlDeviceGetUUID(handle) == machine.uuids()[1]
    machine.process(machine.uuids()[1], GIB, pid=4242)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    assert (memory.total, memory.used) == (24 * GIB, GIB + 10 * 2**20)
    assert memory.free == memory.total - memory.used - memory.reserved
    [process] = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    assert (process.pid, process.usedGpuMemory) == (4242, GIB)
    machine.gpu(1, error="GPU_IS_LOST")
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        pynvml.nvmlDeviceGetName(handle)
    assert machine.calls("nvmlInitWithFlags") == 1


def test_a_job_is_on_its_gpu_while_it_lives_and_its_memory_a_little_longer(machine: Machine, tmp_path: Path) -> None:
    uuid, gate, keeper = machine.uuids()[0], tmp_path / "gate", tmp_path / "keeper"
    keeper.touch()
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": uuid}
    process = subprocess.Popen(gpujob(machine, GIB, until=gate, kept=keeper), env=env, stdout=subprocess.DEVNULL)
    wait_until(lambda: [entry["pid"] for entry in machine.listed(uuid, "compute")] == [process.pid])
    assert machine.used(uuid) == GIB
    gate.touch()
    process.wait(10)
    assert machine.listed(uuid, "compute") == []
    assert machine.used(uuid) == GIB
    keeper.unlink()
    assert machine.used(uuid) == 0


@pytest.mark.parametrize(
    "faults",
    [
        {"errors": {"DeviceGetCount_v2": "DRIVER_NOT_LOADED"}},
        {"errors": {"nvmlDeviceGetCount_v2": "NOT_LOADED"}},
        {"missing": ["nvmlDeviceGetCount"]},
        {"block": ["nvmlDeviceGetMemoryInfo_v9"]},
    ],
    ids=str,
)
def test_a_fault_that_would_inject_nothing_is_refused(machine: Machine, faults: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="nothing here is called"):
        machine.change(**faults)
    assert not {*faults} & {*machine.read()}


def test_a_fault_of_one_gpu_as_well(machine: Machine) -> None:
    with pytest.raises(ValueError, match="did you mean nvmlDeviceGetMemoryInfo"):
        machine.gpu(0, errors={"nvmlDeviceGetMemoryInf": "UNKNOWN"})


def test_a_daemon_runs_on_it(machine: Machine, home: Home) -> None:
    daemon = GpuDaemon(home, machine)
    daemon.start()
    assert daemon.stop() == 0


def test_several_processes_come_and_go_at_once(machine: Machine, tmp_path: Path) -> None:
    uuids, gate = machine.uuids(), tmp_path / "gate"
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(uuids)}
    command = gpujob(machine, GIB, until=gate)
    jobs = [subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) for _ in range(4)]
    wait_until(lambda: all(machine.used(uuid) == 4 * GIB for uuid in uuids))
    gate.touch()
    for job in jobs:
        job.wait(10)
    assert [machine.used(uuid) for uuid in uuids] == [0, 0]
