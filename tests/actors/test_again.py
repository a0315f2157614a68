"""retry with changed fields, and copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from house import House, gated, job

from trainqueue import wire

if TYPE_CHECKING:
    from pathlib import Path


def failed(house: House, **fields: object) -> int:
    made = house.submit("sh", "-c", "exit ${CODE:-3}", env={"PATH": "/usr/bin:/bin"}, **fields)
    house.until(made, "failed")
    return made


def test_retry_with_changed_fields(house: House) -> None:
    one = failed(house, name="one")
    changes = {"env": {"PATH": "/usr/bin:/bin", "CODE": "4"}, "name": "two", "priority": "high"}
    assert house.verb(wire.Retry(jobs=(one,), set=changes)) is None
    shown = house.until(one, "failed")
    assert (shown["attempt"], shown["exit_code"], shown["name"], shown["priority"]) == (2, 4, "two", "high")
    assert house.verb(wire.Retry(jobs=(one,), set={"time_limit": 60})) is None
    shown = house.until(one, "failed")
    assert (shown["attempt"], shown["exit_code"]) == (3, 4), "its environment is still the one that was set"


def test_a_retry_goes_where_its_new_priority_says(house: House, tmp_path: Path) -> None:
    one = failed(house)
    house.submit(*gated(tmp_path / "gate"))
    others = [house.submit("true") for _ in range(2)]
    house.verb(wire.Retry(jobs=(one,), set={"priority": "high"}))
    assert house.status(one)["position"] == 1
    assert house.status(others[0])["position"] == 2
    (tmp_path / "gate").touch()


def test_a_retry_may_be_held(house: House) -> None:
    one = failed(house)
    house.verb(wire.Retry(jobs=(one,), set={"hold": True}))
    assert house.status(one)["why_code"] == "held"
    house.restart()
    assert house.status(one)["why_code"] == "held"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"gpus": "many"}, "$.set.gpus:"),
        ({"nonsense": 1}, "$.set.nonsense:"),
        ({"cwd": "here"}, "$.set.cwd:"),
        ({"after": [99]}, "$.set.after:"),
        ({"command": []}, "$.set.command:"),
    ],
)
def test_wrong_fields_are_named_and_nothing_changes(house: House, changes: dict[str, object], field: str) -> None:
    one = failed(house)
    before = house.status(one)
    [answer] = house.call(wire.Retry(jobs=(one,), set=changes))["jobs"]
    assert (answer["ok"], answer["error"]["message"][: len(field)]) == (False, field)
    assert house.status(one) == before
    code, message = house.refused(wire.Copy(jobs=(one,), set=changes))
    assert (code in {"bad-request", "not-found"}, "after" in message or message.startswith(field)) == (True, True)
    house.call(wire.Pause())
    assert house.submit("true") == one + 1, "no id was used up"


def test_a_waiting_job_is_not_retried_with_changes(house: House) -> None:
    one = house.submit("false", retries={"exit": 1}, retry_delay=1000.0)
    house.until(one, "queued")
    assert house.verb(wire.Retry(jobs=(one,), set={"name": "x"})) == "conflict"


def test_copies_of_jobs_in_whatever_state(house: House, tmp_path: Path) -> None:
    old = failed(house, name="old", tags={"a": "b"})
    runs = house.submit(*gated(tmp_path / "gate"), name="runs")
    waits = house.submit("true", name="waits")
    house.until(runs, "running")
    made = house.call(wire.Copy(jobs=(old, runs, waits), set={"hold": True}))["jobs"]
    assert [one["id"] for one in made] == [waits + 1, waits + 2, waits + 3]
    shown = [house.status(one["id"]) for one in made]
    assert [one["name"] for one in shown] == ["old", "runs", "waits"]
    assert {(one["state"], one["attempt"], one["hold"]) for one in shown} == {("queued", 1, True)}
    assert shown[0]["tags"] == {"a": "b"}
    environment = house.call(wire.Status(job=made[0]["id"], env=True))["env"]
    assert environment == {"PATH": "/usr/bin:/bin"}
    (tmp_path / "gate").touch()


def test_copies_are_made_all_or_none_and_once_for_a_key(house: House) -> None:
    old = failed(house)
    assert house.refused(wire.Copy(jobs=(old, 99), key="k"))[0] == "not-found"
    first = house.call(wire.Copy(jobs=(old,), key="k"))
    assert first["jobs"][0]["id"] == old + 1
    house.restart()
    assert house.call(wire.Copy(jobs=(old, 99), key="k")) == first
    assert house.call(wire.Submit(jobs=(job(),)))["jobs"][0]["id"] == old + 2
