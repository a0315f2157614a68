"""`submit` with `defaults`: what holds for all jobs is said once, and refused by its name."""

from __future__ import annotations

from typing import Any

import pytest
from support import packed

from trainqueue import wire
from trainqueue.core.spec import JobSpec

ENV = {"A": "1", "B": "2"}


def decoded(**fields: Any) -> wire.Submit:
    request = wire.decode([packed({"op": "submit", "id": 7, **fields})])
    assert isinstance(request, wire.Submit)
    return request


def test_jobs_take_what_they_do_not_say_and_share_it() -> None:
    shared = {"cwd": "/", "command": ["a"], "env": ENV, "gpus": 2}
    request = decoded(defaults=shared, jobs=[{}, {"command": ["b"], "gpus": 0, "tags": {"x": "1"}}], key="k")
    first, second = request.jobs
    assert first == JobSpec(command=("a",), cwd="/", env=ENV, gpus=2)
    assert second == JobSpec(command=("b",), cwd="/", env=ENV, gpus=0, tags={"x": "1"})
    assert first.env is second.env
    assert (request.id, request.key) == (7, "k")


def test_null_replaces_a_default_and_no_defaults_are_none() -> None:
    (job,) = decoded(defaults={"cwd": "/", "name": "n"}, jobs=[{"command": ["a"], "name": None}]).jobs
    assert job.name is None
    assert decoded(defaults=None, jobs=[{"command": ["a"], "cwd": "/"}]).jobs[0].cwd == "/"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "type": ({"defaults": {"gpus": "x"}, "jobs": [{}]}, "$.defaults.gpus: Expected `int`, got `str`"),
    "unknown": ({"defaults": {"gpu": 1}, "jobs": [{}]}, "$.defaults.gpu: Object contains unknown field `gpu`"),
    "no map": ({"defaults": 3, "jobs": [{}]}, "$.defaults: "),
    "job": ({"defaults": {"cwd": "/"}, "jobs": [{"command": ["a"]}, {"gpus": -1}]}, "$.jobs[1].gpus: Expected"),
    "missing": ({"defaults": {"cwd": "/"}, "jobs": [{}]}, "$.jobs[0].command: Object missing required field"),
    "none": ({"defaults": {}, "jobs": []}, "$.jobs: Expected `array` of length >= 1"),
    "elsewhere": ({"op": "ping", "defaults": {}}, "$.defaults: Object contains unknown field"),
    "beside": ({"defaults": {}, "jobs": [{"command": ["a"], "cwd": "/"}], "x": 1}, "$.x: Object contains unknown"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case: str) -> None:
    fields, words = WRONG[case]
    with pytest.raises(wire.BadRequestError) as refused:
        decoded(**fields)
    assert str(refused.value).startswith(words)
    assert (refused.value.code, refused.value.request_id) == ("bad-request", 7)
