"""Short series of long runs: how many points, which ones, at what cost; and their file, whatever lies there."""

from __future__ import annotations

import json
import math
import os
import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import small_disk

from trainqueue import janitor, seriesfile
from trainqueue.home import Home
from trainqueue.series import FRACTION, METRICS, POINTS, Metric, Series
from trainqueue.seriesfile import SeriesFile

if TYPE_CHECKING:
    from pathlib import Path


def said(at: float, step: float | None = None, fraction: float | None = None, **metrics: Any) -> dict[str, Any]:
    return {"updated_at": at, "step": step, FRACTION: fraction, "metrics": metrics}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(0, 2), min_size=1), st.integers(1, 40))
def test_few_points_tell_the_whole(values: list[float], times: int) -> None:
    series = Series()
    values *= times
    for at, value in enumerate(values):
        series.take(said(at, at, loss=value))
    points = series.points()["loss"]
    assert len(points) <= POINTS
    assert points == sorted(points), "in the order in which they came"
    assert points[0] == (0, 0, values[0])
    assert points[-1] == (len(values) - 1, len(values) - 1, values[-1])
    assert all(values[int(at)] == value for at, _, value in points), "all of them were reported"
    shown = [value for _, _, value in points]
    assert (min(shown), max(shown)) == (min(values), max(values))


def test_a_short_run_is_kept_whole_and_a_long_one_evenly() -> None:
    metric = Metric((0.0, None, 0.0))
    for at in range(1, POINTS - 3):
        metric.add((float(at), None, at % 7))
    assert len(metric.points()) == POINTS - 3
    for at in range(POINTS - 3, 20_000):
        metric.add((float(at), None, at % 7))
    times = [at for at, _, _ in metric.points()]
    assert POINTS / 2 - 2 <= len(times) <= POINTS
    assert max(after - before for before, after in pairwise(times)) <= 4 * 20_000 / len(times)


def test_a_value_that_stays_takes_two_points() -> None:
    series = Series()
    for at in range(100):
        series.take(said(at, lr=0.1 if at < 50 else 0.01))
    assert [at for at, _, _ in series.points()["lr"]] == [0, 49, 50, 99]


def test_numbers_that_are_none_and_names_without_end() -> None:
    series = Series()
    assert not series.take(said(math.nan, 1, loss=1.0))
    assert not series.take({})
    for at in range(3000):
        series.take(said(at, math.inf, at / 3000, **{f"metric{at}": 1.0, "loss": at}))
    series.take(said(3000, 2**70, None, loss=10**400, acc=True, metric0="much"))
    assert [*series.metrics][:3] == [FRACTION, "metric0", "loss"]
    assert len(series.metrics) == METRICS + 1
    assert series.points()["metric0"] == [(0, None, 1.0)]
    assert series.points()["loss"][-1] == (2999, None, 2999)


def test_what_goes_on_after_a_restart_is_as_if_there_had_been_none() -> None:
    dice, one, other = random.Random(7), Series(), Series()
    for at in range(3000):
        told = said(at, at, loss=dice.random())
        one.take(told)
        other.take(told)
        if at % 1000 == 0:
            other = Series.restored(*json.loads(json.dumps([other.points(), other.widths()])))
    points = other.points()["loss"]
    assert len(points) <= POINTS
    assert other.widths() == one.widths()
    assert {(value[2]) for value in points} >= {find(one.points()["loss"]) for find in (lowest, highest)}


def lowest(points: list[Any]) -> float:
    return float(min(value for _, _, value in points))


def highest(points: list[Any]) -> float:
    return float(max(value for _, _, value in points))


def test_the_file_is_taken_up_again(tmp_path: Path) -> None:
    file = SeriesFile(tmp_path, 2)
    file.keep()
    assert not [*tmp_path.iterdir()], "nothing reported, nothing written"
    assert file.take(said(1.0, 1, loss=0.5)) == seriesfile.SOONEST
    assert file.take(said(2.0, 2, loss=0.4)) is None, "it will be written already"
    file.keep()
    assert [path.name for path in tmp_path.iterdir()] == ["series.2.json"]
    written = seriesfile.path_of(tmp_path, 2).stat().st_mtime_ns
    file.keep()
    assert seriesfile.path_of(tmp_path, 2).stat().st_mtime_ns == written, "nothing new"
    after = SeriesFile(tmp_path, 2)
    assert after.take(said(1000.0, 3, loss=0.3)) == seriesfile.LATEST - 0.01 * 1, "a longer run is written less often"
    after.keep()
    points = seriesfile.read(after.path).series["loss"]
    assert points == [(1.0, 1, 0.5), (2.0, 2, 0.4), (1000.0, 3, 0.3)]


WRONG: dict[str, bytes] = {
    "nothing": b"",
    "half of it": b'{"series": {"loss": [[1, 2,',
    "no map": b"[1, 2]",
    "words": b'{"series": {"loss": [[1, 2, "x"]]}}',
    "two numbers": b'{"series": {"loss": [[1, 2]]}}',
    "not finite": b'{"series": {"loss": [[1, 2, NaN]]}}',
    "no UTF-8": b'{"series": {"\xff": []}}',
    "deep": b'{"series": ' + b"[" * 100_000,
    "large": b" " * (seriesfile.MAX_BYTES + 1),
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_nothing_and_is_replaced(tmp_path: Path, data: bytes) -> None:
    path = seriesfile.path_of(tmp_path, 1)
    path.write_bytes(data)
    assert seriesfile.read(path).series == {}
    path.with_name(f".{path.name}").write_bytes(data)  # left by a crash
    file = SeriesFile(tmp_path, 1)
    file.take(said(1.0, loss=0.5))
    file.keep()
    assert seriesfile.read(path).series == {"loss": [(1.0, None, 0.5)]}


def test_huge_or_empty_series_in_the_file(tmp_path: Path) -> None:
    many = {f"m{at}": [[1, None, 2]] * 300 for at in range(50)} | {"none": []}
    seriesfile.path_of(tmp_path, 1).write_text(json.dumps({"series": many, "width": {"m0": -5, "m1": 2**60}}))
    file = SeriesFile(tmp_path, 1)
    file.take(said(1.0, fraction=0.5, m0=3.0))
    file.keep()
    kept = seriesfile.read(file.path).series
    assert len(kept) <= METRICS + 1
    assert max(map(len, kept.values())) <= POINTS + 1


@pytest.mark.parametrize("odd", ["folder gone", "a pipe", "a folder", "a pipe beside it", "a link beside it"])
def test_an_odd_place_never_hurts_and_never_waits(tmp_path: Path, odd: str) -> None:
    folder = tmp_path / "1"
    folder.mkdir()
    file, path, beside = SeriesFile(folder, 1), folder / "series.1.json", folder / ".series.1.json"
    match odd:
        case "folder gone":
            folder.rmdir()
        case "a pipe":
            os.mkfifo(path)
        case "a folder":
            path.mkdir()
        case "a pipe beside it":
            os.mkfifo(beside)
        case _:
            (tmp_path / "precious").write_text("mine")
            beside.symlink_to(tmp_path / "precious")
    for at in (1.0, 2.0):
        assert file.take(said(at, loss=at)) is not None
        file.keep()
    kept = seriesfile.read(path).series
    assert kept == ({} if odd in {"folder gone", "a folder"} else {"loss": [(1.0, None, 1.0), (2.0, None, 2.0)]})
    assert folder.exists() == (odd != "folder gone")
    assert odd != "a link beside it" or (tmp_path / "precious").read_text() == "mine"


def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as folder:
        file = SeriesFile(folder, 1)
        file.take(said(1.0, loss=0.5))
        file.keep()
        (folder / "flood").write_bytes(b"x" * (os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize))
        for at in range(2, 300):
            file.take(said(float(at), loss=at / 7, acc=at / 9))
        file.keep()
        assert seriesfile.read(file.path).series == {"loss": [(1.0, None, 0.5)]}
        assert sorted(path.name for path in folder.iterdir()) == ["flood", "series.1.json"]
        (folder / "flood").unlink()
        file.take(said(300.0, loss=9.0))
        file.keep()
        assert seriesfile.read(file.path).series["loss"][-1] == (300.0, None, 9.0)


def test_retention_counts_series_as_logs_and_takes_them_along(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.attempt(1, 2).mkdir(parents=True)
    for name in ("output.log", "series.1.json", "series.2.json", "series.10.json", "series.json", "my-series.1.json"):
        (home.job(1) / name).write_text("1234567890")
    assert janitor.log_bytes(home, 1) == 40
    assert janitor.remove_logs(home, 1, 2) is None
    assert {path.name for path in home.job(1).iterdir()} == {"series.10.json", "series.json", "my-series.1.json"}
