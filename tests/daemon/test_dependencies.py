"""What a job waits for, through kill -9 right after the reply, and when retention has taken the others' records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from house import gated
from support import Daemon, wait_until

from trainqueue.client import Client

if TYPE_CHECKING:
    from pathlib import Path

    from trainqueue.home import Home


def job(*command: str, **fields: Any) -> dict[str, Any]:
    return {"command": list(command) or ["true"], "cwd": "/", "gpus": 0, **fields}


def test_what_is_waited_for_survives_kill_9_at_each_step(home: Home, tmp_path: Path) -> None:
    """A group as it was at the moment of the submit, a kept job, a released one: each step is on disk when answered."""
    gate, daemon = tmp_path / "gate", Daemon(home)

    def again() -> None:
        daemon.kill()
        daemon.start()

    daemon.start()
    try:
        with Client(home) as client:
            client.submit([job(*gated(gate), group="g"), job("false", group="f")])
            client.wait([2], 20)
            client.submit(
                [job(after_group=["g"]), job(after=[1, 2], keep=True), job(after_failed=[2], after_group=["g"])]
            )
            client.submit([job(hold=True, group="g")])
            again()
            waits = {number: client.status(number) for number in (3, 4, 5)}
            assert waits[3].why == waits[5].why == "waits for 1 job of group g"
            kept = "job 2 did not complete: it ended failed; held: release starts it anyway"
            assert str(waits[4].why).startswith(kept)
            assert client.verb("release", [4])[0]["ok"]
            again()
            assert (client.status(4).why, client.status(4).waits_for) == ("waits for job 1", (1,))
            client.call("edit", job=4, set={"name": "new"})
            again()
            assert client.status(4).why == "waits for job 1"
            assert client.verb("hold", [6])[0]["ok"]
            gate.touch()
            assert {ended.state for ended in client.wait([1, 3, 4, 5], 30)} == {"completed"}
            assert client.status(6).state == "queued", "it came later, and nobody waited for it"
    finally:
        gate.touch()
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.stop()


def test_what_was_kept_starts_when_the_others_have_been_tried_again(home: Home, tmp_path: Path) -> None:
    """One of a group, and one by its id; the second time they succeed, and the daemon is killed in between."""
    well, daemon = tmp_path / "well", Daemon(home)
    daemon.start()
    try:
        with Client(home) as client:
            tries = job("test", "-e", str(well))
            client.submit([{**tries, "group": "g"}, tries])
            client.submit([job(after_group=["g"], after=[2], keep=True)])
            client.wait([1, 2], 20)
            wait_until(lambda: client.status(3).why_code == "held")
            well.touch()
            assert client.verb("retry", [1])[0]["ok"]
            client.wait([1], 20)
            wait_until(lambda: str(client.status(3).why).startswith("job 2 did not complete"))
            daemon.kill()
            daemon.start()
            assert str(client.status(3).why).startswith("job 2 did not complete")
            assert client.verb("retry", [2])[0]["ok"]
            assert client.wait([3], 20)[0].state == "completed"
    finally:
        daemon.stop()


def test_a_group_of_which_only_records_are_left(home: Home) -> None:
    daemon = Daemon(home)
    daemon.start()
    try:
        with Client(home) as client:
            client.submit([job(group="good"), job(group="bad"), job("false", group="bad")])
            client.wait([1, 2, 3], 20)
            client.submit([job(after_group=["good"]), job(after_group=["bad"]), job(after_group=["bad"], keep=True)])
            done = client.wait([4, 5], 20)
            assert [(each.state, each.cause) for each in done] == [("completed", None), ("cancelled", "dependency")]
            assert done[1].message == "job 3 did not complete: it ended failed"
            wait_until(lambda: client.status(6).why_code == "held")
            client.verb("retry", [3])
            client.wait([3], 20)
            assert client.status(6).why_code == "held"
            assert client.verb("release", [6])[0]["ok"]
            assert client.wait([6], 20)[0].state == "completed"
    finally:
        daemon.stop()
