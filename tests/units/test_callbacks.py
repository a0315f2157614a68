"""Callbacks for Hugging Face, Lightning and Keras, driven as those libraries do it (tests/standins.py)."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import standins

from trainqueue import callbacks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEP = 0.01
"""Seconds that a training step takes here."""


class Watched:
    """The file, what was reported how often, and the clock of the callbacks."""

    def __init__(self, path: Path) -> None:
        self.path, self.now = path, 100.0
        self.seen: list[dict[str, Any]] = []

    def tick(self) -> None:
        self.now += STEP
        if self.path.exists() and (not self.seen or self.told() != self.seen[-1]):
            self.seen.append(self.told())

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return found

    def reports_in(self, steps: int) -> bool:
        """A few a second."""
        return 2 < len(self.seen) <= 2 + steps * STEP / callbacks.CALM


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    made = Watched(tmp_path / "progress.json")
    monkeypatch.setenv("TRAINQ_PROGRESS", str(made.path))
    monkeypatch.setattr(sys.modules["trainqueue.report"], "_last", {})
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: made.now))
    modules: dict[str, dict[str, Any]] = {
        "transformers": {"TrainerCallback": standins.TrainerCallback},
        "pytorch_lightning": {"Callback": standins.LightningCallback},
        "keras": {},
        "keras.callbacks": {"Callback": standins.KerasCallback},
    }
    for name, names in modules.items():
        monkeypatch.setitem(sys.modules, name, standins.module(name, **names))
    yield made
    for name in callbacks.HOOKS:
        callbacks.__dict__.pop(name, None)


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize(("name", "base"), [("HuggingFace", "TrainerCallback"), ("Keras", "KerasCallback")])
def test_it_is_one_of_the_librarys_own_and_travels_to_other_processes(name: str, base: str) -> None:
    made = getattr(callbacks, name)()
    assert isinstance(made, getattr(standins, base))
    assert type(pickle.loads(pickle.dumps(made))) is getattr(callbacks, name)  # noqa: S301


def test_hugging_face(watched: Watched) -> None:
    standins.HuggingFaceTrainer(callbacks.HuggingFace(), watched.tick).train()
    assert watched.seen[0] == {"step": 0, "total": 200, "message": "epoch 1 of 2"}
    assert watched.reports_in(320)
    assert any(told["message"] == "evaluates" for told in watched.seen)
    wanted = {"loss": 0.005, "grad_norm": 0.5, "learning_rate": 1e-3, "eval_loss": 0.125, "train_loss": 0.125}
    assert watched.told() == {"step": 200, "total": 200, "message": "epoch 2 of 2", **wanted}


def test_hugging_face_evaluates_by_itself_or_by_steps(watched: Watched) -> None:
    trainer = standins.HuggingFaceTrainer(callbacks.HuggingFace(), watched.tick)
    trainer.evaluate(0.5)
    assert watched.seen[0] == {"message": "evaluates"}
    assert watched.told() == {"message": "", "eval_loss": 0.5}
    trainer.state.max_steps, trainer.state.num_train_epochs, trainer.state.epoch = 10, sys.maxsize, 0.5
    trainer.call("on_train_end")
    assert watched.told() == {"step": 0, "total": 10, "message": "", "eval_loss": 0.5}


@pytest.mark.parametrize("name", ["lightning.pytorch", "pytorch_lightning"])
def test_lightning_under_either_name(watched: Watched, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delitem(sys.modules, "pytorch_lightning")
    own = type("Own", (standins.LightningCallback,), {})
    monkeypatch.setitem(sys.modules, "lightning", standins.module("lightning"))
    monkeypatch.setitem(sys.modules, name, standins.module(name, Callback=own))
    made = callbacks.Lightning()
    assert isinstance(made, own)
    trainer = standins.LightningTrainer(made, watched.tick)
    trainer.fit(SimpleNamespace(automatic_optimization=True))
    assert watched.seen[0] == {"step": 0, "total": 100, "message": "epoch 1 of 2"}
    assert watched.reports_in(220)
    assert any(told["message"] == "validates" and told["step"] < 100 for told in watched.seen)
    told = watched.told()
    assert 0 < told.pop("loss") < 0.05
    assert told == {"step": 100, "total": 100, "message": "epoch 2 of 2", "val_loss": 0.25}


def test_lightning_with_optimizers_of_its_own_and_without_an_end(watched: Watched) -> None:
    manual = SimpleNamespace(automatic_optimization=False)
    metrics = {"loss": standins.Number(0.5), "loss_step": standins.Number(0.5), "loss_epoch": 1}
    standins.LightningTrainer(callbacks.Lightning(), watched.tick, metrics=metrics).fit(manual)
    told = {"step": 100, "total": 100, "message": "epoch 2 of 2", "loss": 0.5, "val_loss": 0.25}
    assert watched.told() == told
    automatic = SimpleNamespace(automatic_optimization=True)
    endless: dict[str, Any] = {"num_training_batches": math.inf, "estimated_stepping_batches": -1}
    standins.LightningTrainer(callbacks.Lightning(), watched.tick, **endless).fit(automatic)
    assert watched.told()["fraction"] == 1.0
    assert {told.get("fraction") for told in watched.seen} >= {0.0, 0.5}


def test_lightning_reads_the_metrics_of_an_epoch_on_all_ranks(watched: Watched) -> None:
    """Reading them may be an exchange among the ranks: one alone would wait for ever."""
    trainer = standins.LightningTrainer(callbacks.Lightning(), watched.tick, is_global_zero=False)
    trainer.fit(SimpleNamespace(automatic_optimization=True))
    assert trainer.looked == 2
    assert not watched.path.exists()


@pytest.mark.parametrize("steps", [40, None])
def test_keras(watched: Watched, steps: int | None) -> None:
    callback = callbacks.Keras()
    assert callback.async_safe
    standins.keras_fit(callback, watched.tick, steps=steps)
    assert watched.reports_in(135)
    first = watched.seen[0]
    assert first == {"message": "epoch 1 of 3"} | ({"step": 0, "total": 120} if steps else {"fraction": 0.0})
    wanted = {"loss": 0.5, "accuracy": 0.75, "val_loss": 0.25, "message": "epoch 3 of 3"}
    assert watched.told() == {"step": 120, "total": 120, **wanted}


def test_keras_goes_on_and_evaluates_by_itself(watched: Watched) -> None:
    callback = callbacks.Keras()
    standins.keras_fit(callback, watched.tick, steps=40, first=2)
    assert watched.seen[0]["step"] == 80
    before = watched.told()
    callback.on_test_batch_end(0, {"loss": 1.0})
    assert watched.told() == before


@pytest.mark.parametrize("other", ["RANK", "LOCAL_RANK", "the library"])
def test_only_rank_0_reports(watched: Watched, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    trainer = standins.HuggingFaceTrainer(callbacks.HuggingFace(), watched.tick)
    if other == "the library":
        trainer.state.is_world_process_zero = False
    else:
        monkeypatch.setenv(other, "1")
    trainer.train()
    assert not watched.path.exists()


@pytest.mark.parametrize("name", callbacks.HOOKS)
def test_a_library_that_has_changed_is_no_reason_to_end(watched: Watched, name: str) -> None:
    made, odd = getattr(callbacks, name)(), object()
    for hook in (name for name in dir(callbacks.HOOKS[name][0]) if name.startswith("on_")):
        with pytest.warns(UserWarning, match="did not report") if hook != "on_train_begin" else pytest.warns():
            getattr(made, hook)(odd, odd, odd, odd, odd, odd, odd, odd, odd)
    assert not watched.path.exists()


def test_nothing_is_imported_until_it_is_asked_for() -> None:
    script = """
import sys
from trainqueue import callbacks
print(sorted({"transformers", "torch", "lightning", "pytorch_lightning", "keras", "tensorflow"} & {*sys.modules}))
for name in (*callbacks.HOOKS, "Other"):
    sys.modules |= dict.fromkeys(("transformers", "lightning", "pytorch_lightning", "keras", "tensorflow"))
    try:
        getattr(callbacks, name)
    except (ImportError, AttributeError) as error:
        print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", script], env=dict(os.environ), capture_output=True, check=True)
    assert done.stdout.decode().split() == ["[]", *["ModuleNotFoundError"] * 3, "AttributeError"]
