"""Real PyTorch jobs through the queue: one that trains, and one that asks for too much."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hardware.rig import GIB, MIB, PROGRAMS, Rig, hold

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(600)]
TRAIN = str(PROGRAMS / "train_torch.py")


def test_a_training_run(rig: Rig, torch_python: str, record: Callable[[str, str, str], None]) -> None:
    job = rig.submit([torch_python, TRAIN, "15"])
    running = rig.until(job, lambda job: job.progress is not None)
    assert running.gpu_ids == (rig.device.uuid,)
    ended = rig.completed(job)
    told = json.loads(rig.output(job).splitlines()[-1])
    assert (told["gpus"], told["name"]) == (1, rig.device.name)
    assert told["last"] < told["first"] / 2, "it has not learnt"
    assert ended.progress is not None
    assert 50 <= ended.progress["step"] <= told["steps"]
    assert ended.peak_memory is not None
    assert told["reserved"] <= ended.peak_memory <= told["reserved"] + 2 * GIB
    record(f"training with PyTorch {told['torch']}", f"{told['steps'] / 15:.0f} steps/s", "")
    peak, reserved = ended.peak_memory // MIB, told["reserved"] // MIB
    record("its peak, measured from outside", f"{peak} MiB", f"PyTorch's allocator: {reserved} MiB, and CUDA itself")


def test_an_out_of_memory_job_of_pytorch(rig: Rig, torch_python: str) -> None:
    ended = rig.end(rig.submit([torch_python, TRAIN, "--all"]))
    assert (ended.state, ended.cause) == ("failed", "out-of-memory"), rig.output(ended.id)
    rig.completed(rig.submit(hold(mib=64)))


def test_an_out_of_memory_job_of_the_driver(rig: Rig) -> None:
    ended = rig.end(rig.submit(hold(all=True)))
    assert "CUDA_ERROR_OUT_OF_MEMORY" in rig.output(ended.id)
    assert (ended.state, ended.cause) == ("failed", "out-of-memory")
    rig.completed(rig.submit(hold(mib=64)))


def test_a_job_without_gpus_sees_none(rig: Rig) -> None:
    ended = rig.end(rig.submit(hold(count=True), gpus=0, gpu_from=[]))
    assert "CUDA_ERROR_NO_DEVICE" in rig.output(ended.id) or rig.output(ended.id).strip() == "0"
    assert ended.gpu_ids == ()
