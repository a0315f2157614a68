"""Where the time of the GPUs goes, on a clock of the test's own."""

from __future__ import annotations

import json

import pytest

from trainqueue.core.job import Job
from trainqueue.core.spec import JobSpec
from trainqueue.usage import Moment, Usage

JOB = Job(7, JobSpec(command=("true",), cwd="/"), "me", 0.0, 0, 1)
HELD, FOREIGN, FREE = {"a": "held"}, {"a": "foreign"}, {"a": None}


def test_what_was_said_last_counts_until_the_next_word() -> None:
    usage = Usage(100.0, "boot")
    usage.note(101.0, Moment({"a": "held", "b": "foreign"}, wanted=True))
    usage.note(103.0, Moment({"a": "memory", "b": None}, wanted=True))
    usage.note(106.0, Moment({"a": "held", "b": None}, wanted=True))
    assert (usage.gpus["a"].held, dict(usage.gpus["a"].idle)) == (2.0, {"memory": 3.0})
    assert (usage.gpus["b"].held, dict(usage.gpus["b"].idle)) == (0.0, {"foreign": 2.0})


def test_a_gpu_that_nobody_waits_for_is_not_idle_in_vain() -> None:
    usage = Usage(0.0, "boot")
    usage.note(0.0, Moment(FOREIGN, wanted=False))
    usage.note(5.0, Moment(FOREIGN, wanted=True))
    usage.note(6.0, Moment(FOREIGN, wanted=False))
    assert dict(usage.gpus["a"].idle) == {"foreign": 1.0}


def test_the_clock_never_takes_anything_back() -> None:
    usage = Usage(10.0, "boot")
    usage.note(10.0, Moment(HELD))
    usage.note(9.0, Moment(HELD))
    assert usage.gpus["a"].held == 0.0


def test_a_job_is_told_what_it_stood_in_front_for() -> None:
    usage = Usage(0.0, "boot")
    usage.note(0.0, Moment(FOREIGN, wanted=True, first=(7, "gpu-foreign", {"paused": 2.0})))
    usage.note(1.5, Moment(FOREIGN, wanted=True, first=(7, "gpu-memory", {"paused": 2.0})))
    usage.note(2.0, Moment(HELD))
    assert usage.of(JOB) == {"paused": 2.0, "gpu-foreign": 1.5, "gpu-memory": 0.5}
    usage.forget(7)
    assert usage.of(JOB) == {}


def test_sums_go_on_after_a_restart() -> None:
    usage = Usage(0.0, "boot")
    usage.note(0.0, Moment(FOREIGN, wanted=True, first=(7, "gpu-foreign", {})))
    usage.note(2.0, Moment(FREE))
    again = Usage(50.0, "boot", usage.text())
    again.note(51.0, Moment(FOREIGN, wanted=True))
    again.note(52.0, Moment(FREE))
    assert dict(again.gpus["a"].idle) == {"foreign": 3.0}
    assert again.of(JOB) == {"gpu-foreign": 2.0}


@pytest.mark.parametrize(
    ("boot", "then", "held"), [("boot", HELD, 20.0), ("boot", FREE, 2.0), ("another", HELD, 2.0)], ids=str
)
def test_a_gpu_held_before_and_after_a_death_was_held_all_the_time(
    boot: str, then: dict[str, str | None], held: float
) -> None:
    usage = Usage(0.0, "boot")
    usage.note(0.0, Moment(HELD))
    usage.note(2.0, Moment(HELD))
    again = Usage(20.0, boot, usage.text())
    again.note(20.0, Moment(then))
    assert again.gpus["a"].held == held


@pytest.mark.parametrize("kept", ["", "{", "[]", "7", '{"gpus": {"a": 1}}', '{"gpus": [], "boot": "boot"}', "null"])
def test_what_cannot_be_read_begins_anew(kept: str) -> None:
    usage = Usage(0.0, "boot", kept)
    usage.note(1.0, Moment(HELD))
    assert json.loads(usage.text())["gpus"] == {}
