"""Small stand-ins for the libraries whose callbacks we are: who calls what, when, and with which arguments.

As transformers 5, lightning 2.6 and keras 3 do it; the libraries themselves are gigabytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class TrainerCallback:
    """transformers'. Whatever is not overridden does nothing."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...
    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any: ...


@dataclass
class HuggingFaceTrainer:
    """Its Trainer: logs every tenth step, evaluates at the end of each epoch."""

    callback: Any
    tick: Callable[[], None]
    epochs: int = 2
    steps: int = 100
    state: Any = field(
        default_factory=lambda: SimpleNamespace(
            global_step=0, max_steps=0, epoch=None, num_train_epochs=0, is_world_process_zero=True
        )
    )

    def call(self, event: str, **kwargs: Any) -> None:
        control = object()
        names = ("model", "processing_class", "optimizer", "lr_scheduler", "train_dataloader", "eval_dataloader")
        given = {**dict.fromkeys(names), **kwargs}
        result = getattr(self.callback, event)(SimpleNamespace(), self.state, control, **given)
        assert result is None, "it would be taken for the new control"

    def log(self, **logs: float) -> None:
        self.call("on_log", logs={**logs, "epoch": self.state.epoch})

    def evaluate(self, loss: float) -> None:
        for _ in range(60):
            self.call("on_prediction_step")
            self.tick()
        metrics = {"eval_loss": loss, "eval_runtime": 1.5, "eval_samples_per_second": 9.0, "eval_steps_per_second": 1.0}
        self.log(**metrics)
        self.call("on_evaluate", metrics=metrics)

    def train(self) -> None:
        state = self.state
        state.max_steps, state.num_train_epochs, state.epoch = self.epochs * self.steps, self.epochs, 0
        self.call("on_train_begin")
        for epoch in range(self.epochs):
            for step in range(self.steps):
                state.global_step += 1
                state.epoch = epoch + (step + 1) / self.steps
                self.tick()
                self.call("on_step_end")
                if state.global_step % 10 == 0:
                    self.log(loss=1 / state.global_step, grad_norm=0.5, learning_rate=1e-3)
            self.evaluate(0.25 / (epoch + 1))
        self.log(train_runtime=9.0, train_samples_per_second=7.0, total_flos=1e18, train_loss=0.125)
        self.call("on_train_end")


class LightningCallback:
    """Of lightning.pytorch, and word for word of pytorch_lightning."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None: ...
    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None: ...
    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None: ...
    def on_train_end(self, trainer: Any, pl_module: Any) -> None: ...
    def on_validation_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None: ...


class LightningTrainer:
    def __init__(self, callback: Any, tick: Callable[[], None], **facts: Any) -> None:
        self.callback, self.tick = callback, tick
        self.max_epochs: int | None = 2
        self.num_training_batches: float = 50
        self.estimated_stepping_batches: float = 100
        self.is_global_zero, self.sanity_checking = True, False
        self.global_step = self.current_epoch = 0
        self.fit_loop = SimpleNamespace(total_batch_idx=-1)
        self.metrics: dict[str, Any] = {}
        self.looked = 0
        self.__dict__.update(facts)

    @property
    def callback_metrics(self) -> dict[str, Any]:
        self.looked += 1
        return self.metrics

    def call(self, name: str, *given: Any) -> None:
        getattr(self.callback, name)(self, self.module, *given)

    def validate(self) -> None:
        for batch in range(40):
            self.call("on_validation_batch_start", object(), batch, 0)
            self.tick()

    def fit(self, module: Any) -> None:
        self.module = module
        self.sanity_checking = True
        self.validate()
        self.sanity_checking = False
        self.call("on_train_start")
        for epoch in range(self.max_epochs or 0):
            for batch in range(50):
                self.fit_loop.total_batch_idx += 1
                self.global_step += 1 if module.automatic_optimization else 2
                self.tick()
                outputs = {"loss": Number(1 / self.global_step)} if module.automatic_optimization else None
                self.call("on_train_batch_end", outputs, object(), batch)
            self.validate()
            self.metrics |= {"val_loss": Number(0.5 / (epoch + 1)), "val_loss_epoch": Number(9)}
            self.call("on_train_epoch_end")
            self.current_epoch += 1
        self.call("on_train_end")


class Number:
    """A tensor with one number."""

    def __init__(self, value: float) -> None:
        self.value = value

    def item(self) -> float:
        return self.value


class KerasCallback:
    def __init__(self) -> None:
        self.params: Any = None

    def set_params(self, params: Any) -> None:
        self.params = params

    def on_train_begin(self, logs: Any = None) -> None: ...
    def on_train_end(self, logs: Any = None) -> None: ...
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None: ...
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None: ...
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None: ...
    def on_test_batch_end(self, batch: int, logs: Any = None) -> None: ...


def keras_fit(callback: Any, tick: Callable[[], None], *, steps: int | None, epochs: int = 3, first: int = 0) -> None:
    """Model.fit with validation; `steps` is None where the data do not know their number, of which there are 40."""
    callback.set_params({"verbose": 1, "epochs": epochs, "steps": steps})
    callback.on_train_begin({})
    for epoch in range(first, epochs):
        callback.on_epoch_begin(epoch, {})
        for batch in range(40):
            tick()
            callback.on_train_batch_end(batch, logs={"loss": 1.0 / (batch + 1), "accuracy": 0.5})
        for batch in range(5):
            tick()
            callback.on_test_batch_end(batch, logs={"loss": 9.0})
        callback.on_epoch_end(epoch, {"loss": 0.5, "accuracy": 0.75, "val_loss": 0.25})
    callback.on_train_end({"loss": 0.5})


def module(name: str, **names: Any) -> ModuleType:
    made = ModuleType(name)
    made.__dict__.update(names)
    return made
