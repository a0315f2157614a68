"""How far jobs are, in tables and in full: on terminals of any width, in pipes, and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from house import gated
from support import wait_until

from trainqueue.cli.gauges import LEVELS, left, line_of_bars
from trainqueue.cli.said import figure, rate, steps
from trainqueue.cli.screen import cells

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Cli

    from trainqueue.client import Client

HOSTILE = "e\x1b[31mvil\u202e\tname" + "x" * 300
FACTS: dict[str, Any] = {"total": 12, "message": "epoch 2\x1b[2J of 4", "accuracy": 0.5, "lr": 1e-4, HOSTILE: 1.5}


@pytest.fixture
def running(client: Client, tmp_path: Path) -> Path:
    """Job 1, which has reported nine steps, and job 2, which has reported nothing; the gate that ends them."""
    gate = tmp_path / "gate"
    spec: dict[str, Any] = {"cwd": "/", "name": "a name that is as long as such names are", "gpus": 0}
    client.submit([{**spec, "command": [*gated(gate)]}, {**spec, "command": ["true"], "hold": True}])
    wait_until(lambda: client.status(1).state == "running")
    path = client.home.progress_of(1)

    def reached() -> int | None:
        return (client.status(1).progress or {}).get("step")

    for step in range(1, 10):
        beside = path.with_name("beside")
        beside.write_text(json.dumps({"step": step, "loss": 1 / step, **FACTS}))
        beside.replace(path)
        wait_until(lambda: reached() == step)  # noqa: B023  (called before the next one)
    wait_until(lambda: client.series(1).get("loss", [[0]])[-1][-1] == 1 / 9)
    return gate


def test_a_job_in_full_and_in_the_table(cli: Cli, client: Client, running: Path) -> None:
    piped = cli("status", "1").stdout
    facts = dict(line.split("\t", 1) for line in piped.splitlines())
    assert facts["progress"].startswith("█████████░░░  75%  9/12")
    assert facts["progress"].endswith("epoch 2\N{REPLACEMENT CHARACTER}[2J of 4")
    assert (facts["metric loss"], facts["metric accuracy"], facts["metric lr"]) == ("0.1111", "0.5", "0.0001")
    assert next(name for name in facts if name.startswith("metric")) == "metric loss"
    assert not {*piped} & {*LEVELS[:-1]}, "no picture where nobody looks"

    lines = cli.on_a_terminal("status", "1", columns=60).splitlines()
    (loss,) = (line for line in lines if line.startswith("  loss"))
    assert loss.split()[1] == "0.1111"
    picture = loss.split()[2]
    assert (picture[0], picture[-1]) == ("█", "▁")
    assert {*picture} <= {*LEVELS}
    assert max(cells(line) for line in lines if line.startswith("  ")) <= 60
    assert not any("\x1b" in line or "\u202e" in line for line in lines)
    cli.env |= {"TERM": "dumb"}
    assert not {*cli.on_a_terminal("status", "1")} & {*LEVELS[:-1]}
    cli.env |= {"PYTHONIOENCODING": "latin-1"}
    assert "#########...  75%" in cli("status", "1").stdout
    cli.env |= {"PYTHONIOENCODING": "utf-8"}

    wide, narrow = (cli.on_a_terminal("status", columns=columns) for columns in (140, 76))
    assert "75%  loss 0.1111" in wide
    assert "loss" not in narrow
    assert "████░  75%" in narrow
    assert max(map(cells, narrow.splitlines())) <= 76

    first, second = cli.json("status", "1-2")
    assert first["series"]["loss"] == client.series(1)["loss"]
    assert first["series"]["fraction"][-1][1:] == [9, 0.75]
    assert second["series"] == {}
    running.touch()
    client.wait([1], 20)


def test_pictures() -> None:
    def picture(values: list[float], width: int = 8, steps: list[float | None] | None = None) -> str:
        given = steps or [float(at) for at in range(len(values))]
        points = [[float(at), step, value] for at, (step, value) in enumerate(zip(given, values, strict=True))]
        return line_of_bars(points, width)

    assert picture([0, 1, 2, 3, 4, 5, 6, 7]) == LEVELS
    assert picture([*range(800)]) == LEVELS
    assert picture([3, 3, 3], 4) == "▄▄▄▄"
    assert picture([1e308, -1e308], 2) == "█▁"
    assert picture([0, 0, 1], 4, steps=[0, 99, 100]) == "▁▁▁█", "over steps"
    assert picture([0, 1], 2, steps=[5, 5]) == "▁█", "over time, where the steps stand still"
    assert picture([0, 1], 2, steps=[7, 3]) == "▁█"
    assert picture([0, 1], 2, steps=[None, 3]) == "▁█"
    held = picture([0, 0, 1, 1], 8, steps=[0.0, 3.9, 4.0, 8.0])
    assert held == "▁▁▁▁████", "a step is one, whichever points tell of it"
    assert picture([1]) == picture([]) == picture([0, 1], 1) == ""
    assert picture([0, 1], 2, steps=[-1e308, 1e308]) == "▁█"
    assert picture([0, 5e-324], 2) == "▁▁", "no way between them that could be divided"
    assert line_of_bars([[5.0, None, 1.0], [5.0, None, 2.0]], 3) == "▁██", "all at one time"


@pytest.mark.parametrize(
    ("per_second", "words"),
    [(12.5, "12.5/s"), (0.5, "2 s/step"), (0.0, ""), (None, ""), (-1.0, ""), (123456.0, "123,456/s")],
)
def test_rates(per_second: float | None, words: str) -> None:
    assert rate(per_second) == words


def test_numbers_and_what_is_left() -> None:
    shown = [figure(value) for value in (0.123456, 12345, 1e-7, 2e12, 314.159)]
    assert shown == ["0.1235", "12,345", "1e-07", "2e+12", "314.2"]
    assert [steps({"step": step, "total": total}) for step, total in ((None, 3), (2, None), (2, 3))] == ["", "2", "2/3"]
    job = {"state": "running", "progress": {"eta": 7500.0, "updated_at": 100.0}}
    assert left(job, 200.0) == "about 2 h 5 left"
    assert left(job, 9000.0) == "about to end"
    assert left({**job, "state": "completed"}, 200.0) == ""
    assert left({**job, "progress": {"eta": None, "updated_at": 100.0}}, 200.0) == ""
