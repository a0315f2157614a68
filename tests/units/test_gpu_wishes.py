"""What may be wished of GPUs at submit: refusals name the field; whether this machine has such GPUs is asked later."""

from __future__ import annotations

from typing import Any

import pytest

from trainqueue.core.spec import JobSpec, check
from trainqueue.errors import RequestError


def made(**fields: Any) -> JobSpec:
    return JobSpec(command=("true",), cwd="/", **fields)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("gpu_memory", {"gpus": 0, "gpu_memory": 1}),
        ("gpu_memory", {"gpus": 0, "gpu_memory": "auto"}),
        ("gpu_from", {"gpus": 0, "gpu_from": (1,)}),
        ("gpu_name", {"gpus": 0, "gpu_name": "H100"}),
        ("gpu_min_memory", {"gpus": 0, "gpu_min_memory": 0}),
        ("gpu_memory", {"gpu_memory": 0}),
        ("gpu_from", {"gpus": 2, "gpu_from": (1,)}),
        ("gpu_from", {"gpus": 2, "gpu_from": (1, "1", 1)}),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_by_name(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as refused:
        check(made(**fields), "$.jobs[3]")
    assert refused.value.code == "bad-request"
    assert refused.value.message.startswith(f"$.jobs[3].{field}: ")


@pytest.mark.parametrize(
    "fields",
    [
        {"gpu_from": (7, "GPU-nobody-has")},
        {"gpus": 2, "gpu_from": (0, "GPU-a", 0)},
        {"gpu_memory": 1, "gpu_name": "H100", "gpu_min_memory": 2**40},
        {"gpus": 0, "gpu_from": ()},
    ],
    ids=str,
)
def test_what_may_come_true_some_day_is_taken(fields: dict[str, Any]) -> None:
    check(made(**fields), "$")
