"""Lanes and groups of a real daemon: what was said of them outlives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support import Daemon, wait_until

from trainqueue.client import Client
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.home import Home

SLEEP = {"command": ["sleep", "100"], "cwd": "/"}
LANES = "[lanes.debug]\ngpus = 1\n[lanes.night]\npaused = true\n"


@pytest.fixture
def daemon(home: Home) -> Iterator[Daemon]:
    """With three GPUs, and the lanes of `LANES` in its settings."""
    made = Daemon(home)
    made.env["TRAINQ_FAKE_GPUS"] = "3x24GiB"
    settings = home.path.parent / "lanes.toml"
    settings.write_text(LANES, encoding="utf-8")
    made.env["TRAINQ_CONFIG"] = str(settings)
    made.start()
    yield made
    with Client(home) as client:
        client.lane("night", paused=False)
        ids = [job["id"] for kind in ("running", "queued") for job in client.queue(limit=1000)[kind]]
        if ids:
            client.cancel(ids, force=True)
            client.wait(ids, 20)
    made.stop()


def running(client: Client) -> list[int]:
    return [job["id"] for job in client.queue()["running"] if job["state"] == "running"]


def lanes(client: Client) -> dict[str, dict[str, Any]]:
    return {lane["name"]: lane for lane in client.lanes()}


def test_what_was_said_of_a_lane_survives_a_kill_right_after_the_answer(daemon: Daemon) -> None:
    with Client(daemon.home) as client:
        assert [*lanes(client)] == ["default", "debug", "night"]
        assert client.lane("debug", gpus=2)
        assert client.lane("long", paused=True)
        daemon.kill()
        daemon.start()
        told = lanes(client)
        assert (told["debug"]["gpus"], told["debug"]["from_settings"]) == (2, True)
        assert (told["long"]["paused"], told["long"]["gpus"], told["long"]["from_settings"]) == (True, None, False)
        assert client.lane("long", remove=True) is None
        daemon.kill()
        daemon.start()
        assert [*lanes(client)] == ["default", "debug", "night"]


def test_the_bounds_hold_for_jobs_that_a_later_daemon_takes_over(daemon: Daemon) -> None:
    with Client(daemon.home) as client:
        client.submit([SLEEP | {"lane": "debug"}] * 3 + [SLEEP | {"group": "g", "max_running": 1, "gpus": 0}] * 3)
        wait_until(lambda: running(client) == [1, 4])
        daemon.kill()
        daemon.start()
        assert lanes(client)["debug"] == {
            "name": "debug",
            "gpus": 1,
            "paused": False,
            "paused_since": None,
            "from_settings": True,
            "held": 1,
            "running": 1,
            "waiting": 2,
        }
        assert client.status(3).why == "lane debug holds 1 of its 1 GPU; 1 of it is before this one"
        assert client.status(6).why == "1 of group g run, which is its max_running; 1 of it is before this one"
        client.cancel([1, 4], force=True)
        wait_until(lambda: running(client) == [2, 5])


def test_a_paused_lane_starts_nothing_until_it_is_resumed_and_says_so(daemon: Daemon) -> None:
    with Client(daemon.home) as client:
        client.submit([SLEEP | {"lane": "night"}, SLEEP])
        wait_until(lambda: running(client) == [2])
        found = client.queue()
        [paused] = [lane["name"] for lane in found["lanes"] if lane["paused"]]
        assert (paused, found["queued"][0]["why_code"]) == ("night", "paused")
        client.lane("night", paused=False)
        wait_until(lambda: running(client) == [1, 2])
        told = [event for event in client.events(0)["events"] if event["type"] == "lane"]
        assert [(event["name"], event["paused"], event["removed"]) for event in told] == [("night", False, False)]


def test_what_cannot_be_is_refused_and_changes_nothing(daemon: Daemon) -> None:
    with Client(daemon.home) as client:
        before = client.lanes()
        refusals: dict[str, tuple[str, dict[str, Any]]] = {
            "there is no lane dbug; there are: debug, default, night": ("submit", {"jobs": [SLEEP | {"lane": "dbug"}]}),
            "stands in the settings": ("lane", {"name": "debug", "remove": True}),
            "goes with neither": ("lane", {"name": "new", "remove": True, "gpus": 1}),
            "$.name": ("lane", {"name": "two words"}),
            "$.gpus": ("lane", {"name": "new", "gpus": 0}),
        }
        for sentence, (op, fields) in refusals.items():
            with pytest.raises(RequestError) as refused:
                client.call(op, **fields)
            assert sentence in refused.value.message
        assert client.lanes() == before


def test_the_next_of_a_bounded_group_is_armed_before_its_turn(daemon: Daemon) -> None:
    """Else each hand-over within the group would have to wait for a runner and for the disk."""
    with Client(daemon.home) as client:
        client.submit([SLEEP | {"group": "g", "max_running": 1}] * 3)
        wait_until(lambda: running(client) == [1])
        wait_until((daemon.home.path / "jobs" / "2").exists)
