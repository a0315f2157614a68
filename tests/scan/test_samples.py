"""What real programs have written: tqdm, Keras, Lightning and Hugging Face's Trainer, captured with their times."""

from __future__ import annotations

from typing import Any

import pytest
from scan.playing import play, sample


def at(maps: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """What was told last by then."""
    return [each for each in maps if each["updated_at"] <= seconds][-1]


@pytest.mark.parametrize(
    ("name", "total", "metrics"),
    [
        ("tqdm_and_evaluations", 300, {"loss", "lr"}),
        ("tqdm_in_epochs", 180, {"loss", "val_loss", "val_acc"}),
        ("tqdm_nested", 6000, set[str]()),
        ("keras_3", 144, {"loss", "accuracy", "val_loss", "val_accuracy"}),
        ("trainer", 240, {"loss", "grad_norm", "learning_rate", "eval_loss", "train_loss"}),
    ],
)
def test_from_nothing_to_the_end(name: str, total: int, metrics: set[str]) -> None:
    rows = sample(name)
    maps = play(rows)
    steps = [each["step"] for each in maps if each["step"] is not None]
    assert steps == sorted(steps)
    assert maps[-1]["fraction"] == 1.0
    assert (maps[-1]["step"], maps[-1]["total"]) == (total, total)
    assert metrics <= set(maps[-1]["metrics"])
    begin, end = rows[0][0], rows[-1][0]
    for share in (0.3, 0.5, 0.7):
        told = at(maps, begin + share * (end - begin))
        assert told["fraction"] == pytest.approx(share, abs=0.17), "it goes on evenly, but for evaluations"
        assert told["rate"] > 0
        assert told["eta"] == pytest.approx((1 - share) * (end - begin), rel=0.7)
    assert all(each["fraction"] < 1 for each in maps[:-3] if each["fraction"] is not None)


def test_what_is_loaded_before_stands_in_the_message() -> None:
    first = play(sample("tqdm_and_evaluations"))[0]
    assert (first["message"], first["fraction"], first["total"]) == ("loading checkpoint shards: 0 of 4", None, None)


def test_lightning_does_not_say_how_many_epochs_but_its_command_may() -> None:
    unknown = play(sample("lightning"))
    assert {each["fraction"] for each in unknown[:-2]} == {None}
    half = at(unknown, 4.0)
    assert (half["message"], half["total"], half["eta"]) == ("epoch 1", 40, None)
    assert unknown[-1]["fraction"] == 1.0
    assert {"train_loss", "val_loss"} <= set(unknown[-1]["metrics"])
    known = play(sample("lightning"), "python", "train.py", "trainer.max_epochs=3")
    assert (known[-1]["step"], known[-1]["total"], known[-1]["fraction"]) == (120, 120, 1.0)
    assert at(known, 4.0)["message"] == "epoch 2 of 3"


def test_without_bars_the_trainers_dicts_say_it() -> None:
    unknown = play(sample("trainer_without_bars"))
    assert {each["fraction"] for each in unknown[:-2]} == {None}
    assert unknown[-1]["fraction"] == 1.0
    known = play(sample("trainer_without_bars"), "python", "train.py", "--num_train_epochs", "3")
    assert known[0]["fraction"] == pytest.approx(0.25 / 3)
    assert known[0]["metrics"]["loss"] == 0.7048


def test_rich_in_a_pipe_writes_its_end_only() -> None:
    [end] = play(sample("lightning_rich"))[-1:]
    assert (end["fraction"], end["total"], end["message"]) == (1.0, 120, "epoch 3 of 3")
