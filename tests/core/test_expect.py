"""What is expected of a job: windows of time, its share of a GPU, the GPUs that it may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from trainqueue.core.expect import Window, eligible, ends, lasts, matching, share_of, would_do
from trainqueue.core.job import Job, Pending, Running, State
from trainqueue.core.past import NoPast, Runs
from trainqueue.core.slot import Slot
from trainqueue.core.spec import JobSpec

GIB = 2**30
NOW = 1000.0


@dataclass
class Known:
    """The same for every command."""

    known: Runs

    def runs(self, spec: JobSpec) -> Runs:
        del spec
        return self.known


NOTHING = Known(Runs())
HOUR = Known(Runs(shortest=3000.0, longest=3600.0))


def spec(**fields: Any) -> JobSpec:
    return JobSpec(command=("true",), cwd="/", **fields)


def job(state: State, *, progress: dict[str, Any] | None = None, limit: float | None = None) -> Job:
    return Job(1, spec(time_limit=limit), "me", 0.0, 0, 0, state=state, progress=progress)


def running(ran: float, **more: Any) -> Job:
    return job(Running(("a",), 42, NOW - ran), **more)


def told(ago: float, eta: float | None) -> dict[str, Any]:
    return {"fraction": 0.5, "eta": eta, "updated_at": NOW - ago}


@pytest.mark.parametrize(
    ("some", "past", "window"),
    [
        (running(100.0), NOTHING, (NOW, None)),
        (running(100.0, limit=500.0), NOTHING, (NOW + 400, NOW + 400)),
        (running(500.0, limit=500.0), NOTHING, (NOW, None)),
        (running(501.0, limit=500.0), NOTHING, (NOW, None)),
        (running(100.0), HOUR, (NOW + 2900, NOW + 3500)),
        (running(3200.0), HOUR, (NOW, NOW + 400)),
        (running(3700.0), HOUR, (NOW, None)),
        (running(3700.0, limit=5000.0), HOUR, (NOW, NOW + 1300)),
        (running(100.0, limit=3100.0), HOUR, (NOW + 2900, NOW + 3000)),
        (running(100.0, limit=1100.0), HOUR, (NOW + 1000, NOW + 1000)),
        (running(100.0, progress=told(10.0, 60.0)), HOUR, (NOW + 50, NOW + 50)),
        (running(100.0, progress=told(10.0, 60.0), limit=120.0), HOUR, (NOW + 20, NOW + 20)),
        (running(100.0, progress=told(599.0, 5000.0)), HOUR, (NOW + 4401, NOW + 4401)),
        (running(100.0, progress=told(601.0, 5000.0)), HOUR, (NOW + 2900, NOW + 3500)),
        (running(100.0, progress=told(90.0, 60.0)), HOUR, (NOW, None)),
        (running(100.0, progress=told(90.0, 60.0), limit=120.0), HOUR, (NOW, NOW + 20)),
        (running(100.0, progress=told(10.0, None)), HOUR, (NOW + 2900, NOW + 3500)),
        (running(100.0, progress=told(-50.0, 60.0)), HOUR, (NOW + 2900, NOW + 3500)),
        (running(-5000.0, limit=500.0), NOTHING, (NOW + 500, NOW + 500)),
        (running(-5000.0), HOUR, (NOW + 3000, NOW + 3600)),
        (job(Pending(("a",), NOW - 100), limit=500.0), NOTHING, (NOW + 400, NOW + 400)),
        (job(Running(("a",), 42, NOW - 100, stopping=True), limit=500.0), HOUR, (NOW, NOW + 400)),
        (job(Running(("a",), 42, NOW - 100, stopping=True)), HOUR, (NOW, None)),
    ],
)
def test_when_a_running_job_ends(some: Job, past: Known, window: tuple[float, float | None]) -> None:
    assert ends(some, NOW, past) == Window(*window)


@pytest.mark.parametrize(
    ("limit", "past", "window"),
    [
        (None, NOTHING, (0.0, None)),
        (500.0, NOTHING, (0.0, 500.0)),
        (None, HOUR, (3000.0, 3600.0)),
        (3500.0, HOUR, (3000.0, 3500.0)),
        (500.0, HOUR, (500.0, 500.0)),
    ],
)
def test_how_long_a_waiting_job_lasts(limit: float | None, past: Known, window: tuple[float, float | None]) -> None:
    assert lasts(spec(time_limit=limit), past) == Window(*window)


def test_auto_is_the_last_peak_and_a_tenth() -> None:
    past = Known(Runs(peak_memory=10 * GIB))
    assert share_of(spec(gpu_memory="auto"), past) == 11 * GIB
    assert share_of(spec(gpu_memory="auto"), NOTHING) is None
    assert share_of(spec(gpu_memory=3), past) == 3
    assert share_of(spec(), past) is None


SLOTS = [
    Slot("GPU-8a31f0c2-1111", 0, "NVIDIA GeForce RTX 4090", 24 * GIB),
    Slot("GPU-8a31f0c2-2222", 1, "NVIDIA GeForce RTX 4090", 24 * GIB, usable=False),
    Slot("GPU-77770000-3333", 2, "NVIDIA H100 80GB", 80 * GIB),
    Slot("MIG-10", 5, "NVIDIA H100 80GB MIG 1g.10gb", 10 * GIB),
    Slot("cpu:0", 7, "cpu", None),
]


@pytest.mark.parametrize(
    ("fields", "indices"),
    [
        ({}, [0, 1, 2, 5, 7]),
        ({"gpu_from": (2, 0)}, [0, 2]),
        ({"gpu_from": ("2", 0, 9)}, [0, 2]),
        ({"gpu_from": ("GPU-8a31f0c2-2222",)}, [1]),
        ({"gpu_from": ("GPU-7777",)}, [2]),
        ({"gpu_from": ("GPU-777",)}, []),
        ({"gpu_from": ("GPU-8a31",)}, []),
        ({"gpu_from": ("GPU-8a31f0c2-2",)}, [1]),
        ({"gpu_from": ("MIG-10",)}, [5]),
        ({"gpu_from": ("cpu:0",)}, [7]),
        ({"gpu_name": "rtx 4090"}, [0, 1]),
        ({"gpu_name": "h100"}, [2, 5]),
        ({"gpu_min_memory": 24 * GIB}, [0, 1, 2]),
        ({"gpu_min_memory": 24 * GIB, "gpu_name": "h100", "gpu_from": (2, 5)}, [2]),
        ({"gpu_memory": 20 * GIB}, [0, 1, 2, 7]),
    ],
)
def test_which_gpus_a_job_may_have(fields: dict[str, Any], indices: list[int]) -> None:
    assert [slot.index for slot in eligible(spec(**fields), SLOTS, NOTHING)[0]] == indices
    if not any(isinstance(name, str) for name in fields.get("gpu_from", ())):
        assert [slot.index for slot in would_do(spec(**fields), SLOTS)] == indices
        assert {slot.index for slot in matching(spec(**fields), SLOTS)} >= {*indices}


def test_auto_takes_whole_gpus_where_its_peak_is_more_than_they_have() -> None:
    some, past = spec(gpus=2, gpu_memory="auto"), Known(Runs(peak_memory=23 * GIB))
    assert eligible(some, SLOTS[:3], past) == (SLOTS[:3], None)
    assert eligible(spec(gpu_memory="auto"), SLOTS[:3], past) == (SLOTS[2:3], 23 * GIB + 23 * GIB // 10)
    assert eligible(some, SLOTS[:3], NoPast()) == (SLOTS[:3], None)
