"""`report` tells what it can, and never raises into a training run."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import warnings
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support import ACTORS

from trainqueue import report as public
from trainqueue.report import MAX_BYTES, RANKS, report

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRAINQ_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setattr(sys.modules["trainqueue.report"], "_last", {})
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "progress.json"


def told(path: Path) -> Any:
    """The file, read as strictly as the strictest reader of JSON."""

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


class Tensor:
    """As PyTorch's: one number has `item`, several raise."""

    def __init__(self, *values: float) -> None:
        self.values = [*values]

    def item(self) -> float:
        if len(self.values) > 1:
            msg = "a Tensor with 2 elements cannot be converted to Scalar"
            raise RuntimeError(msg)
        return self.values[0]


GOOD: list[tuple[Any, float | None]] = [
    (3, 3),
    (0.5, 0.5),
    (np.float32(0.5), 0.5),
    (np.int64(7), 7),
    (np.array([[2.5]]), 2.5),
    (Tensor(1.5), 1.5),
    (Decimal("0.25"), 0.25),
    (2**70, float(2**70)),
    (math.nan, None),
    (-math.inf, None),
    (np.float64("nan"), None),
    (True, 1),
    (np.bool_(0), 0),
    (np.float16(0.25), 0.25),
]


@pytest.mark.parametrize(("value", "number"), GOOD, ids=[repr(value)[:20] for value, _ in GOOD])
def test_numbers(path: Path, value: Any, number: float | None) -> None:
    report(step=1, loss=1.0)
    report(loss=value)
    assert told(path)["loss"] == number
    assert not isinstance(told(path)["loss"], bool), "which the daemon would not take for a number"


@pytest.mark.parametrize(
    "value", [Tensor(1, 2), np.array([1, 2]), "much", object(), 10**400, [1]], ids=lambda value: repr(value)[:20]
)
def test_what_is_no_number_warns_and_spoils_nothing_else(path: Path, value: Any) -> None:
    with pytest.warns(UserWarning, match="loss is no number"):
        report(step=1, loss=value, accuracy=0.5)
    assert told(path) == {"step": 1, "loss": None, "accuracy": 0.5}


class Spread(Tensor):
    """As PyTorch's DTensor: `item` waits for the other ranks."""

    def full_tensor(self) -> Tensor:
        return self

    def item(self) -> float:
        pytest.fail("it would wait for ever")


class Odd(Exception):  # noqa: N818
    def __str__(self) -> str:
        msg = "not even that"
        raise ZeroDivisionError(msg)


class Traced:
    """As JAX's inside of `jit`: it explains at length; or worse."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __float__(self) -> float:
        raise self.error


def test_numbers_that_would_hang_or_cannot_even_explain_themselves(path: Path) -> None:
    with pytest.warns(UserWarning, match="full_tensor"):
        report(step=1, norm=Spread(1.0))  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="loss is no number: traced$"):
        report(loss=Traced(TypeError("traced\nand so on")))  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="loss is no number"):
        report(loss=Traced(Odd()))  # type: ignore[arg-type]
    assert told(path) == {"step": 1, "norm": None, "loss": None}


def test_the_warning_names_the_line_of_the_script(path: Path) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        report(loss=Tensor(1, 2))  # type: ignore[arg-type]
        path.unlink()
        path.mkdir()
        report(step=1)
    assert [warning.filename for warning in warned] == [__file__] * 2
    assert str(warned[-1].message) == "trainq: progress was not reported: Is a directory", "the same each time"


def test_thousands_of_metrics_fit_into_what_is_read(path: Path) -> None:
    many: dict[str, float] = {f"metric {at} {'é' * 500}": 0.1 for at in range(3000)}
    with pytest.warns(UserWarning, match="too many"):
        report(step=1, total=2, message="m" * 10**6, **many)
    assert path.stat().st_size <= MAX_BYTES
    found = told(path)
    assert (found["step"], found["total"], len(found["message"])) == (1, 2, 1000)
    assert len(found) > 20


@pytest.mark.parametrize(
    ("names", "speaks"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "1", "LOCAL_RANK": "1"}, False),
        ({"RANK": "8", "LOCAL_RANK": "0"}, False),
        ({"LOCAL_RANK": "3"}, False),
        ({"OMPI_COMM_WORLD_RANK": "2"}, False),
        ({"RANK": "", "LOCAL_RANK": "none"}, True),
    ],
)
def test_of_a_distributed_run_rank_0_speaks(
    path: Path, monkeypatch: pytest.MonkeyPatch, names: dict[str, str], *, speaks: bool
) -> None:
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    report(step=1)
    assert path.exists() == speaks


@pytest.mark.parametrize("rank", [0, 1, None])
def test_torch_knows_its_rank_better(path: Path, monkeypatch: pytest.MonkeyPatch, rank: int | None) -> None:
    """Of processes that `torch.multiprocessing.spawn` has started the environment says nothing."""
    torch = SimpleNamespace(is_available=lambda: True, is_initialized=lambda: rank is not None, get_rank=lambda: rank)
    monkeypatch.setitem(sys.modules, "torch.distributed", torch)
    report(step=1)
    assert path.exists() == (rank != 1)


@pytest.mark.filterwarnings("error")
def test_nothing_is_raised_even_where_warnings_are_errors(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report(loss=Tensor(1, 2))  # type: ignore[arg-type]
    monkeypatch.setenv("TRAINQ_PROGRESS", str(path.parent / "gone" / "progress.json"))
    report(step=1)


def test_an_odd_message(path: Path) -> None:
    report(message="file \udcff")
    assert told(path)["message"] == "file ?"


def test_steps_are_not_hidden_by_an_old_fraction(path: Path) -> None:
    report(fraction=0.5)
    report(step=3, total=4)
    assert told(path) == {"step": 3, "total": 4}


def test_threads_do_not_spoil_each_others_file(path: Path) -> None:
    seen: list[Any] = []

    def work(number: int) -> None:
        for step in range(100):
            metrics: dict[str, Any] = {f"metric{number}_{step}": 1.0}
            report(step=step, **metrics)
            seen.append(told(path))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 400
    assert [entry.name for entry in path.parent.iterdir()] == ["progress.json"]


def test_outside_a_job_it_does_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINQ_PROGRESS")
    public(step=1)
    assert not path.exists()


def test_whichever_of_the_two_is_imported_it_can_be_called(path: Path) -> None:
    """The function has the name of its module, which the callbacks import."""
    script = "import trainqueue.callbacks\nfrom trainqueue import report\nreport(3, total=4)"
    env = {"TRAINQ_PROGRESS": str(path), "PYTHONPATH": str(ACTORS)}
    subprocess.run([sys.executable, "-c", script], env=env, check=True)
    assert told(path) == {"step": 3, "total": 4}
