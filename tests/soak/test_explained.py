"""That the judge of `queue` replies can say no: a reply in which all is right, and one thing changed at a time."""

from __future__ import annotations

from typing import Any

import pytest
from soak import explained

NOW = 1000.0


def job(number: int, **fields: Any) -> dict[str, Any]:
    made = {"id": number, "state": "queued", "position": None, "gpus": 1, "lane": None, "group": None, "hold": False}
    made |= {"waits_for": [], "waits_for_groups": [], "attempt": 1, "not_before": None, "max_running": None}
    made |= {"gpu_from": [], "gpu_ids": [], "why_code": "position", "why": ""}
    return made | fields


def reply() -> dict[str, Any]:
    running = [
        job(1, state="running", gpu_ids=["a"], lane="debug", group="g"),
        job(2, state="running", gpu_ids=["b"]),
        job(3, state="running", gpus=0),
    ]
    queued = [
        job(4, position=1, why="next in line; 2 of 2 GPUs are in use"),
        job(5, position=2, gpus=0, why="next in line; 1 of 1 jobs without a GPU are running"),
        job(6, position=3, why="position 3 in the line"),
        job(7, group="g", max_running=1, why="1 of group g run, which is its max_running"),
        job(8, lane="debug", why="lane debug holds 1 of its 1 GPU; 1 of it is before this one"),
        job(9, hold=True, why_code="held"),
        job(10, waits_for=[4], why_code="dependency"),
        job(11, not_before=NOW + 5, why_code="not-before"),
        job(12, attempt=2, why_code="backoff"),
        job(13, gpus=3, why_code="gpu-count"),
    ]
    return {
        "paused": False,
        "draining": False,
        "lanes": [
            {"name": "default", "gpus": None, "paused": False, "running": 2, "held": 1},
            {"name": "debug", "gpus": 1, "paused": False, "running": 1, "held": 1},
        ],
        "running": running,
        "queued": queued,
        "counts": {"queued": 10, "running": 3},
        "gpus": [
            {"id": "a", "index": 0, "enabled": True, "jobs": [1]},
            {"id": "b", "index": 1, "enabled": True, "jobs": [2]},
        ],
    }


def test_a_right_one() -> None:
    assert [*explained.wrong(reply(), NOW)] == []


@pytest.mark.parametrize(
    ("number", "fields", "said"),
    [
        (4, {"position": 2}, "the places in line were"),
        (
            4,
            {"gpu_from": [1], "gpus": 0, "why": "next in line; 1 of 2 jobs without a GPU are running"},
            "1 jobs without",
        ),
        (6, {"why": "position 2 in the line"}, "its position is 3"),
        (7, {"max_running": None}, "its bound is None"),
        (7, {"why": "2 of group g run, which is its max_running"}, "1 of its group g run"),
        (8, {"why": "lane debug holds 2 of its 2 GPUs"}, "its lane is"),
        (8, {"why": "its turn has come"}, "nothing is in its way"),
        (9, {"hold": False}, "hold is False"),
        (9, {"why_code": "position"}, "hold is True"),
        (10, {"waits_for": []}, "it waits for []"),
        (11, {"not_before": NOW - 5}, "not before 995"),
        (12, {"attempt": 1}, "first attempt"),
        (13, {"gpus": 2}, "it needs 2 of 2"),
    ],
)
def test_one_thing_is_wrong(number: int, fields: dict[str, Any], said: str) -> None:
    found = reply()
    next(each for each in found["queued"] if each["id"] == number).update(fields)
    assert said in "".join(explained.wrong(found, NOW))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("paused",), True, "the queue stands still"),
        (("counts", "queued"), 9, "counted"),
        (("lanes", 1, "held"), 2, "of lane debug it says"),
        (("lanes", 1, "paused"), True, "its lane is"),
        (("gpus", 1, "jobs"), [], "GPUs are held by"),
        (("running", 1, "id"), 4, "stands there 2 times"),
    ],
)
def test_the_whole_is_wrong(path: tuple[Any, ...], value: Any, said: str) -> None:
    found = reply()
    place: Any = found
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert said in "".join(explained.wrong(found, NOW))


def test_a_gpu_that_is_free_while_the_first_in_line_waits() -> None:
    found = reply()
    found["running"][1]["gpu_ids"], found["gpus"][1]["jobs"] = [], []
    assert "these are free: [1]" in "".join(explained.wrong(found, NOW))
