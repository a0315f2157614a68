"""What retention takes and what it leaves, with a real daemon; and the clock by which things grow old."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import Cli
from house import House, Told, gated, job, rows
from support import Daemon, small_disk, wait_until

from trainqueue import janitor, prune
from trainqueue.actor import stop_and_join
from trainqueue.ages import DAY, Ages, uptime
from trainqueue.client import Client
from trainqueue.errors import RequestError
from trainqueue.home import Home
from trainqueue.messages.files import Clean, Tidied
from trainqueue.removal import remove
from trainqueue.settings import HistorySettings
from trainqueue.wire import Submit

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL = 8
"""Jobs of the fixture: 1 to 5 have ended, 6 runs, 7 waits for it and for job 1, 8 is held."""
SAYS = "head -c 1000 /dev/zero"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def filled(home: Home, gate: Path) -> Iterator[Daemon]:
    """A stopped daemon; job 6 runs on."""
    daemon = Daemon(home)
    daemon.start()
    with Client(home) as client:
        submit = client.submit
        submit([job("sh", "-c", SAYS, tags={"n": "1"})], key="kept")
        submit([job("sh", "-c", SAYS + "; exit 3", retries={"exit": 1}), job("sh", "-c", SAYS), job("sh", "-c", SAYS)])
        submit([job("sh", "-c", SAYS, after=(1,))])
        client.wait([1, 2, 3, 4, 5], 20)
        submit([job(*gated(gate, "echo six"))])
        submit([job("echo", "seven", after=(1, 6)), job(hold=True, after_any=(2,))])
        wait_until(lambda: client.status(6).state == "running")
    wait_until(lambda: rows(home, "SELECT count(*) FROM jobs WHERE state = 'running'") == [(1,)])
    wait_until(lambda: has_clock(home))
    assert daemon.stop() == 0
    yield daemon
    gate.touch()
    if daemon.process is not None and daemon.process.poll() is None:
        with Client(home) as client:
            client.wait([6], 20)
        daemon.stop()


def again(daemon: Daemon, folder: Path, **limits: object) -> Client:
    """The next daemon, with these settings of `[history]`."""
    lines = ["[history]", *(f"{name} = {value}" for name, value in limits.items())]
    (folder / "trainq.toml").write_text("\n".join(lines), encoding="utf-8")
    daemon.env["TRAINQ_CONFIG"] = str(folder / "trainq.toml")
    daemon.start()
    return Client(daemon.home)


def grow_old(home: Home, *, days: float = 0, boot: str | None = None, years: float = 0) -> None:
    """The machine is up for so many days more; or it was booted anew while the wall clock went so many years on."""
    ((text,),) = rows(home, "SELECT value FROM settings WHERE name = 'ages'")
    saved: dict[str, Any] = json.loads(text)
    saved |= {"up": saved["up"] - days * DAY, "wall": saved["wall"] - years * 365 * DAY}
    if boot is not None:
        saved["boot"] = boot
    rows(home, f"UPDATE settings SET value = '{json.dumps(saved)}' WHERE name = 'ages'")


def has_clock(home: Home) -> bool:
    """Whether the first step of retention has been taken, which writes it down."""
    return bool(rows(home, "SELECT 1 FROM settings WHERE name = 'ages'"))


def tidy(home: Home) -> bool:
    """Whether all is measured, and nothing is left to be removed."""
    [(unmeasured,)] = rows(home, "SELECT count(*) FROM jobs WHERE ended IS NOT NULL AND log_bytes IS NULL")
    return unmeasured == 0 and not rows(home, "SELECT * FROM rubbish")


def ids(client: Client) -> list[int]:
    return [found.id for found in client.jobs()[0]]


def test_by_default_everything_stays(filled: Daemon, tmp_path: Path) -> None:
    with again(filled, tmp_path) as client:
        wait_until(lambda: tidy(filled.home))
        assert ids(client) == [*range(ALL, 0, -1)]
        assert client.call("stats")["log_bytes"] == 6000  # job 2 has had two attempts
        assert client.log(1)["size"] == 1000
        assert rows(filled.home, "SELECT job, attempt FROM attempts") == [(6, 1)]  # also nothing of the retried one


def test_the_oldest_logs_go_first(filled: Daemon, tmp_path: Path, gate: Path) -> None:
    home = filled.home
    (home.job(2) / "checkpoint").write_text("the job's own", encoding="ascii")
    grow_old(home, days=1)
    with again(filled, tmp_path, max_log_bytes=2500) as client:
        wait_until(lambda: client.status(3).log_removed_at is not None)
        wait_until(lambda: tidy(home))
        assert ids(client) == [*range(ALL, 0, -1)]
        assert [client.status(number).log_removed_at is None for number in range(1, 9)] == [False] * 3 + [True] * 5
        assert {path.name for path in home.job(2).iterdir()} == {"checkpoint"}
        assert client.log(4)["size"] == client.log(5)["size"] == 1000
        assert client.call("stats")["log_bytes"] == 2000
        assert home.log_of(6, 1).exists()
        part = client.log(2, attempt=1)
        assert (part["data"], part["eof"]) == (b"", True)
        assert abs(part["removed_at"] - time.time()) < 60
        client.call("retry", jobs=[1])
        gate.touch()
        client.wait([1, 6, 7], 20)
        assert client.status(1).log_removed_at is None
        assert client.log(1)["size"] == 1000
        cli = Cli(filled)
        gone = cli("logs", "1", "--attempt", "1")
        assert (gone.returncode, gone.stdout) == (1, "")
        assert "the log of job 1, attempt 1, was removed by retention on " in gone.stderr
        assert "setting history.max_log_bytes" in gone.stderr
        assert cli("logs", "6").stdout == "six\n"


def test_the_log_of_the_newest_stays_however_big_it_is(filled: Daemon, tmp_path: Path) -> None:
    grow_old(filled.home, days=1)
    with again(filled, tmp_path, max_log_bytes=1) as client:
        wait_until(lambda: client.status(4).log_removed_at is not None)
        wait_until(lambda: tidy(filled.home))
        assert client.log(5)["size"] == 1000


def test_more_records_than_wanted_go_with_their_folders(filled: Daemon, tmp_path: Path, gate: Path) -> None:
    home = filled.home
    grow_old(home, days=1)
    with again(filled, tmp_path, max_jobs=1) as client:
        wait_until(lambda: ids(client) == [8, 7, 6, 5])
        wait_until(lambda: tidy(home))
        assert sorted(path.name for path in (home.path / "jobs").iterdir()) == ["5", "6"]
        with pytest.raises(RequestError, match="the record of job 1 is gone"):
            client.status(1)
        before = client.call("stats")
        assert (before["removed"], before["counts"]) == (4, {"completed": 1, "running": 1, "queued": 2})
        assert before["gpu_seconds_used"] > 0
        assert client.jobs(tag={"n": "1"})[0] == []
        client.call("edit", job=8, set={"name": "its dependency has no record any more"})
        assert [answer["ok"] for answer in client.verb("retry", [5])] == [True]  # it had waited for job 1
        client.call("release", jobs=[8])
        gate.touch()
        ended = client.wait([5, 6, 7, 8], 20)
        assert [found.state for found in ended] == ["completed"] * 4
        after = client.call("stats")
        assert after["gpu_seconds_used"] >= before["gpu_seconds_used"]


def test_what_has_just_ended_stays_for_those_who_wait_for_it(filled: Daemon, tmp_path: Path) -> None:
    with again(filled, tmp_path, max_jobs=1, max_log_bytes=1) as client:
        wait_until(lambda: tidy(filled.home))
        assert ids(client) == [*range(ALL, 0, -1)]
        assert client.log(1)["size"] == 1000


def test_a_waiting_job_outlives_the_records_of_those_it_waited_for(filled: Daemon, tmp_path: Path, gate: Path) -> None:
    grow_old(filled.home, days=1)
    with again(filled, tmp_path, max_jobs=1) as client:
        wait_until(lambda: ids(client) == [8, 7, 6, 5])
    filled.kill()
    filled.start()
    with Client(filled.home) as client:
        assert client.status(7).state == "queued"
        gate.touch()
        assert client.wait([7], 20)[0].state == "completed"


def test_ids_are_not_given_twice(home: Home, tmp_path: Path) -> None:
    daemon = Daemon(home)
    with again(daemon, tmp_path) as client:
        client.submit([job(), job()])
        client.wait([1, 2], 20)
        wait_until(lambda: has_clock(home))
    daemon.stop()
    grow_old(home, days=2)
    with again(daemon, tmp_path, max_age_days=1) as client:
        wait_until(lambda: not ids(client))
        wait_until(lambda: tidy(home))
        daemon.kill()
        daemon.start()
        assert client.submit([job()])[0]["id"] == 3
        assert client.wait([3], 20)[0].state == "completed"
    daemon.stop()


def test_records_and_keys_go_by_their_age(filled: Daemon, tmp_path: Path) -> None:
    home = filled.home
    grow_old(home, days=6)
    with again(filled, tmp_path, max_age_days=5) as client:
        wait_until(lambda: ids(client) == [8, 7, 6])
        assert client.submit([job()], key="kept")[0]["id"] == 1
    filled.stop()
    grow_old(home, days=2)
    with again(filled, tmp_path, max_age_days=5) as client:
        wait_until(lambda: not rows(home, "SELECT * FROM keys WHERE key = 'kept'"))
        assert ids(client) == [8, 7, 6]
        assert client.submit([job()], key="kept")[0]["id"] == 9


def test_a_wall_clock_that_has_gone_a_year_on_makes_nothing_old(filled: Daemon, tmp_path: Path) -> None:
    home = filled.home
    grow_old(home, boot="another", years=1)
    with again(filled, tmp_path, max_age_days=5, max_log_bytes=1_000_000) as client:
        wait_until(lambda: tidy(home))
        assert ids(client) == [*range(ALL, 0, -1)]
        assert client.submit([job()], key="kept")[0]["id"] == 1


def test_the_clock_of_ages() -> None:
    times = {"up": 50.0, "wall": 1000.0}

    def at(saved: str, boot: str) -> Ages:
        return Ages(saved, boot, up=lambda: times["up"], wall=lambda: times["wall"])

    ages = at("", "a")
    assert ages.now() == 1000
    times |= {"up": 60.0, "wall": 1e9}
    assert ages.now() == 1010
    kept = ages.text()
    times |= {"up": 100.0, "wall": 5.0}
    assert at(kept, "a").now() == 1050
    assert at(kept, "b").now() == 1010  # the wall clock went back
    times["wall"] = 1e9 + 30
    assert at(kept, "b").now() == 1040
    times["wall"] = 1e9 + 400 * DAY
    assert at(kept, "b").now() == 1010 + DAY
    assert uptime() > 0


def test_events_that_are_not_kept_are_named(home: Home, tmp_path: Path) -> None:
    daemon = Daemon(home)
    with again(daemon, tmp_path) as client:
        client.submit([job(hold=True) for _ in range(250)])
        assert client.events(0, 1)["first"] == 1
    daemon.stop()
    with again(daemon, tmp_path, max_events=100) as client:
        wait_until(lambda: client.events(0, 1)["first"] == 151)
        page = client.events(100)
        assert [event["seq"] for event in page["events"]] == [*range(151, 251)]
        assert (page["first"], page["last"]) == (151, 250)
        shown = Cli(daemon)("events")
        assert "events 1 to 150 are not kept any more: setting history.max_events" in shown.stderr
        assert len(shown.stdout.splitlines()) == 100
        assert Cli(daemon)("events", "--after", "150").stderr == ""
        client.cancel([*range(1, 251)])
        assert client.events(250, 1)["events"][0]["seq"] == 251
    daemon.stop()


def test_what_a_dead_daemon_had_given_up_goes_at_the_next_start(filled: Daemon, tmp_path: Path) -> None:
    home = filled.home
    rows(home, "INSERT INTO rubbish VALUES (3, 1)")
    rows(home, "INSERT INTO rubbish VALUES (77, NULL)")
    home.attempt(77, 1).mkdir(parents=True)
    with again(filled, tmp_path) as client:
        wait_until(lambda: tidy(home))
        assert not home.job(77).exists()
        assert not home.log_of(3, 1).exists()
        assert client.log(4)["size"] == 1000


def test_the_janitor_looks_when_a_job_has_ended(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(janitor, "SOON", 0.05)
    monkeypatch.setattr(prune, "LINGER", 0.0)
    house = House(home)
    house.start(opened=False)
    limits = HistorySettings(max_log_bytes=1500)
    worker = janitor.Janitor.start(house.ref, home, limits, house.crashes.append)
    house.open(worker)
    wait_until(lambda: not house.actor._stirred)
    for number in (1, 2, 3):
        house.submit("sh", "-c", SAYS)
        house.until(number, "completed")
    wait_until(lambda: house.status(2)["log_removed_at"] is not None)
    wait_until(lambda: not home.log_of(2, 1).exists() and not house.actor._stirred)
    assert home.log_of(3, 1).exists()
    house.close()
    stop_and_join(worker, 5)
    assert not house.crashes


def test_a_disk_that_refuses_stops_no_removal_of_what_was_given_up(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes room. No other record goes meanwhile, and the janitor asks again soon."""
    monkeypatch.setattr(prune, "LINGER", 0.0)
    monkeypatch.setattr(prune, "JOBS", 2)
    house, worker = House(home), Told()
    house.start(opened=False)
    rows(home, "INSERT INTO rubbish VALUES (71, 1), (72, NULL), (73, NULL)")
    house.open(worker.ref)
    for number in (1, 2, 3):
        house.submit("true")
        house.until(number, "completed")
    house.journal.refuses = True
    step, limits = iter(range(1, 9)), HistorySettings(max_jobs=1)  # it would remove two of them

    def next_after(*removed: int) -> Clean:
        house.ref.tell(Tidied([], [*removed], limits))
        count = next(step)
        wait_until(lambda: len(worker.of(Clean)) > count)  # the first told it to begin
        return worker.of(Clean)[count]

    assert next_after() == Clean([], [(71, 1), (72, None)], more=False, refused=True)
    assert next_after(71, 72) == Clean([], [(73, None)], more=False, refused=True)
    house.refused(Submit(jobs=(job(hold=True),)))  # from now on something waits to be written
    assert next_after(73) == Clean([], [], more=False, refused=True)
    assert next_after() == Clean([], [(71, 1), (72, None)], more=False, refused=True)
    assert house.status(1)["state"] == "completed"
    house.journal.refuses = False
    wait_until(lambda: house.actor.ledger.error is None)
    assert next_after(71, 72, 73).remove == [(1, None), (2, None)]
    house.close()
    worker.close()
    assert not house.crashes


def test_after_a_refusal_the_janitor_asks_again_soon(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(janitor, "SOON", 0.05)
    home.prepare()
    told, crashes = Told(), list[BaseException | None]()
    worker = janitor.Janitor.start(told.ref, home, HistorySettings(), crashes.append)
    worker.tell(Clean([], [], more=False, refused=True))
    assert told.hear(Tidied).removed == []
    stop_and_join(worker, 5)
    told.close()
    assert not crashes


def test_retention_may_use_the_reserve_to_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "LINGER", 0.0)
    with small_disk(tmp_path / "small", "6m") as small:
        house, worker = House(Home(small / "home")), Told()
        house.start(opened=False)
        house.open(worker.ref)
        for number in (1, 2, 3):
            house.submit("true")
            house.until(number, "completed")
        wait_until(lambda: house.actor.ledger.reserve.held)
        with (small / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(2**12))
        house.ref.tell(Tidied([], [], HistorySettings(max_jobs=1)))
        wait_until(lambda: len(worker.of(Clean)) > 1)
        assert worker.of(Clean)[1].remove == [(1, None), (2, None)]
        house.close()
        worker.close()
        assert not house.crashes


def test_the_hole_in_a_log_counts_for_nothing(home: Home) -> None:
    home.prepare()
    home.job(1).mkdir()
    with home.log_of(1, 1).open("wb") as file:
        file.write(b"head")
        file.seek(2**30)
        file.write(b"tail")
    assert 8 <= janitor.log_bytes(home, 1) < 2**20


def test_files_that_cannot_be_removed_are_named(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    home.prepare()
    home.log_of(1, 1).mkdir(parents=True)
    told, crashes = Told(), list[BaseException | None]()
    worker = janitor.Janitor.start(told.ref, home, HistorySettings(), crashes.append)
    worker.tell(Clean([(2, 1)], [(1, 1), (3, None)], more=False))
    answer = told.hear(Tidied)
    assert (answer.measured, answer.removed) == ([(2, 1, 0)], [3])
    worker.tell(Clean([(2, 1)], [(1, 1), (4, None)], more=False))
    wait_until(lambda: [step.removed for step in told.of(Tidied)] == [[3], [4]])
    assert [str(home.job(1)) in record.message for record in caplog.records] == [True]
    stop_and_join(worker, 5)
    told.close()
    assert not crashes


def deep(folder: Path, levels: int) -> None:
    """Folder in folder, deeper than any path can name."""
    folder.mkdir(parents=True)
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("deeper", dir_fd=here)
        inner = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


def test_a_job_that_has_dug_deep_is_removed(home: Home) -> None:
    home.prepare()
    deep(home.job(1) / "hole", 3000)
    told, crashes = Told(), list[BaseException | None]()
    worker = janitor.Janitor.start(told.ref, home, HistorySettings(), crashes.append)
    worker.tell(Clean([], [(1, None)], more=False))
    assert told.hear(Tidied).removed == [1]
    assert not home.job(1).exists()
    stop_and_join(worker, 5)
    told.close()
    assert not crashes


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder of somebody whom permissions bind, and who we are meanwhile: root is not bound by any."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.getuid() == 0:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(os.getuid())


def test_permissions_that_are_ours_do_not_hinder(nobody: Path) -> None:
    """Folders that may not be written to, or not even be read, on any level; links are not followed."""
    (nobody / "kept").mkdir()
    (nobody / "kept" / "file").touch()
    top = nobody / "job"
    for name in ("fixed", "blind"):
        (top / name / "inner").mkdir(parents=True)
        (top / name / "inner" / "file").touch()
    (top / "link").symlink_to(nobody / "kept")
    for path, mode in ((top / "fixed/inner", 0o500), (top / "fixed", 0o500), (top / "blind", 0o000), (top, 0o500)):
        path.chmod(mode)
    assert remove(top) is None
    assert not top.exists()
    assert (nobody / "kept" / "file").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_what_is_not_ours_stays_and_all_beside_it_goes(nobody: Path) -> None:
    """As a container that runs as root leaves it."""
    top = nobody / "job"
    for name in ("a", "b", "c"):
        (top / name / "inner").mkdir(parents=True)
        (top / name / "inner" / "file").touch()
    os.seteuid(0)
    os.chown(top / "b" / "inner", 0, 0)
    os.seteuid(65534)
    assert isinstance(remove(top), PermissionError)
    assert [*top.rglob("*")] == [top / "b", top / "b" / "inner", top / "b" / "inner" / "file"]
    os.seteuid(0)
