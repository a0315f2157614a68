"""The count of events: what it calls missing, of a stream that loses some."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trainqueue.following import Count

STEPS = st.lists(st.sampled_from(["heard", "lost", "heartbeat", "progress", "welcome", "restart"]), max_size=60)


def heard(kind: str, epoch: str = "one", seq: int | None = None) -> dict[str, Any]:
    return {"type": kind} if seq is None else {"type": kind, "epoch": epoch, "seq": seq}


@given(STEPS)
def test_who_takes_a_snapshot_where_events_are_missing_knows_all_of_them(steps: list[str]) -> None:
    count, newest, known, epoch = Count(), 7, 0, "0"
    for step in ["welcome", *steps, "heartbeat"]:
        newest += step in {"heard", "lost"}
        epoch = str(int(epoch) + (step == "restart"))
        event = {"heard": heard("job", epoch, newest), "progress": heard("progress"), "lost": None, "restart": None}
        told = event.get(step, heard(step, epoch, newest))
        if told is None:
            continue
        missing = count.misses(told)
        following = step == "heard" and newest == known + 1
        assert missing or following or newest == known or step == "progress"
        known = newest if missing or following else known
    assert (known, count.epoch, count.seq) == (newest, epoch, newest)


def test_nothing_is_missing_where_nothing_was_lost() -> None:
    count = Count()
    assert not count.begun
    assert count.misses(heard("welcome", seq=3)), "the first word of a daemon"
    stream = [heard("job", seq=3), heard("heartbeat", seq=3), heard("queue", seq=4), heard("progress")]
    stream += [heard("welcome", seq=4), heard("gpu", seq=5)]
    assert not any(count.misses(event) for event in stream)
    assert count.misses(heard("job", seq=7))
    assert count.misses(heard("heartbeat", seq=8))
    assert count.misses(heard("job", epoch="two", seq=1)), "another daemon, whose database may be an older one"
    assert not count.misses(heard("job", epoch="two", seq=2))
