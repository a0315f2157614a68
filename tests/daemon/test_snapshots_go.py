"""When retention takes a snapshot: once no record of a job names it, and never before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from house import House, Told, rows
from support import wait_until

from trainqueue import janitor, prune
from trainqueue.actor import stop_and_join
from trainqueue.frozen import kept
from trainqueue.messages.files import Clean, Tidied
from trainqueue.settings import HistorySettings
from trainqueue.wire import Retry, Submit

if TYPE_CHECKING:
    from pathlib import Path

    from trainqueue.home import Home

NAMES = [f"20261125-01020{at}-0123abcd" for at in range(5)]


@pytest.fixture
def copies(home: Home) -> list[Path]:
    """Snapshots that can be named, one of them with a folder that may not be written to."""
    home.prepare()
    made = [home.snapshots / name for name in NAMES]
    for copy in made:
        (copy / "lib").mkdir(parents=True)
        (copy / "lib" / "train.py").touch()
    (made[0] / "lib").chmod(0o500)
    return made


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing needs to be there for long."""
    monkeypatch.setattr(kept, "UNNAMED", 0.0)
    monkeypatch.setattr(prune, "LINGER", 0.0)
    monkeypatch.setattr(janitor, "SOON", 0.05)


def test_it_goes_with_the_last_record_that_names_it(
    home: Home, copies: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "UNNAMED", 3600.0)
    house = House(home)
    house.start(opened=False)
    worker = janitor.Janitor.start(house.ref, home, HistorySettings(max_jobs=1), house.crashes.append)
    unfinished = home.snapshots / f"{kept.UNFINISHED}{NAMES[3]}"
    copies[3].rename(unfinished)
    house.open(worker)
    house.submit("true", snapshot=str(copies[0]))
    house.submit("true", snapshot=str(copies[1]))
    waits = house.submit("true", snapshot=str(copies[1] / "lib"), hold=True)
    house.until(2, "completed")
    assert {*home.snapshots.iterdir()} >= {copies[0], copies[1], unfinished, copies[4]}
    monkeypatch.setattr(kept, "UNNAMED", 0.0)
    last = house.submit("sh", "-c", "test -e lib/train.py", snapshot=str(copies[2]))
    house.until(last, "completed")
    wait_until(lambda: rows(home, "SELECT id FROM jobs ORDER BY id") == [(waits,), (last,)])
    wait_until(lambda: sorted(home.snapshots.iterdir()) == [copies[1], copies[2]])
    assert house.status(waits)["snapshot"] == str(copies[1] / "lib")
    stop_and_join(worker, 5)
    house.close()
    assert not house.crashes


def test_what_is_given_up_cannot_be_named_any_more(home: Home, copies: list[Path]) -> None:
    house, worker = House(home), Told()
    house.start(opened=False)
    house.open(worker.ref)
    house.submit("true", snapshot=str(copies[0]), hold=True)
    house.ref.tell(Tidied([], [], HistorySettings(), [*NAMES[:2]]))
    wait_until(lambda: len(worker.of(Clean)) > 1)
    assert worker.of(Clean)[1].snapshots == [f"{kept.UNUSED}{NAMES[1]}"]
    assert copies[0].exists()
    spec = house.actor.core.jobs[1].spec
    code, words = house.refused(Submit(jobs=(type(spec)(command=("true",), cwd="/", snapshot=str(copies[1])),)))
    assert (code, f"there is no folder {copies[1]}" in words) == ("bad-request", True)
    house.close()
    worker.close()
    assert not house.crashes


def test_a_fresh_one_is_left_to_its_submitter(copies: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "UNNAMED", 3600.0)
    seen, folder = kept.Seen(), copies[0].parent
    assert seen.old(folder) == []
    monkeypatch.setattr(kept, "UNNAMED", 0.0)
    assert seen.old(folder) == NAMES
    copies[1].rename(folder / f"{kept.UNUSED}{NAMES[1]}")
    monkeypatch.setattr(kept, "UNNAMED", 3600.0)
    assert seen.old(folder) == [f"{kept.UNUSED}{NAMES[1]}"], "what a daemon before has given up"
    monkeypatch.setattr(kept, "UNNAMED", 0.0)
    monkeypatch.setattr(kept, "SOME", 2)
    rounds = [seen.old(folder) for _ in range(3)]
    assert sorted(name for some in rounds for name in some) == sorted(path.name for path in folder.iterdir())


def test_a_snapshot_outlives_the_daemon_and_a_retry(home: Home, copies: list[Path]) -> None:
    house = House(home)
    house.start()
    job = house.submit("sh", "-c", "pwd; exit 1", snapshot=str(copies[4] / "lib"))
    house.until(job, "failed")
    house.restart()
    house.verb(Retry(jobs=(job,)))
    wait_until(lambda: house.status(job)["attempt"] == 2 and house.status(job)["state"] == "failed")
    assert home.log_of(job, 2).read_text(encoding="utf-8") == f"{copies[4] / 'lib'}\n"
    assert rows(home, "SELECT snapshot FROM jobs") == [(NAMES[4],)]
    house.close()
    assert not house.crashes
