"""A job whose memory is to be limited, in a daemon of a machine that can, and of one that cannot any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue import wire
from trainqueue.cells import Place

if TYPE_CHECKING:
    from pathlib import Path

    from house import House

NO = Place(None, trouble="it is too old", advice="have a newer one")


def test_one_that_waited_while_the_machine_became_another(house: House, tmp_path: Path) -> None:
    house.actor.bench.cells = Place(tmp_path, tmp_path)
    house.call(wire.Pause())
    job = house.submit("true", memory_limit=2**30)
    assert house.status(job)["memory_limit"] == 2**30
    house.restart()
    house.actor.bench.cells = NO
    house.call(wire.Resume())
    found = house.until(job, "failed")
    assert (found["cause"], found["message"]) == ("start-failed", f"cannot start 'true': {NO.sentence()}")
    assert NO.sentence() == "this machine cannot limit a job's memory: it is too old; have a newer one"


def test_it_is_refused_where_it_cannot_be(house: House) -> None:
    house.actor.bench.cells = NO
    job = house.submit("true", hold=True)
    refusal = ("bad-request", f"$.set.memory_limit: {NO.sentence()}")
    assert house.refused(wire.Edit(job=job, set={"memory_limit": 2**30})) == refusal
