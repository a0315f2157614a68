"""What the forecast learns of earlier runs: each run once, whenever somebody asks first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from trainqueue.core.job import Completed, Job
from trainqueue.core.lengths import Lengths
from trainqueue.core.past import NoPast
from trainqueue.core.spec import JobSpec
from trainqueue.core.steps import at_once
from trainqueue.forecaster import Forecaster
from trainqueue.past import Earlier

SPEC = JobSpec(command=("train",), cwd="/w")


class Journal:
    """Of two runs."""

    def ended(self, before: tuple[float, int], limit: int) -> list[Earlier]:
        runs = [Earlier((20.0, 7), "completed", SPEC, 90.0), Earlier((10.0, 6), "completed", SPEC, 110.0)]
        return [one for one in runs if one.at < before][:limit]


def test_a_run_that_ended_before_anybody_asked_counts_once() -> None:
    """It is in the journal by then."""
    forecaster = Forecaster(cast("Any", SimpleNamespace(core=SimpleNamespace(past=NoPast()), journal=Journal())))
    state = Completed(ended_at=20.0, run_time=90.0)
    forecaster.ended(Job(7, SPEC, "me", 0.0, 0, 0, state=state))
    at_once(forecaster._recall())
    once = Lengths(NoPast())
    once.ended(SPEC, 110.0)
    once.ended(SPEC, 90.0)
    assert forecaster.lengths.of(SPEC) == once.of(SPEC)
