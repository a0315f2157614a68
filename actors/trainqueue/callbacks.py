"""Progress from Hugging Face Trainer, Lightning and Keras: `Trainer(..., callbacks=[HuggingFace()])`.

    from trainqueue.callbacks import HuggingFace, Keras, Lightning

Each is made when it is first asked for, on top of its library's own Callback: importing this module imports none of
them. Outside trainq they do nothing. None raises into a training run, none has a GPU waited for more than a few times
a second, and of a distributed run only rank 0 reports.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from trainqueue.report import first_line, report, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CALM = 0.3
"""Seconds from one report to the next; what comes between them goes with the next one."""
NO_BOUND = 10**6
"""Hugging Face says the largest number there is where the steps are bounded."""
TAKEN = frozenset({"step", "total", "fraction", "message"})
"""Names that mean something else in a report."""


class Teller:
    """What has not been reported yet."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.at = -math.inf

    def due(self) -> bool:
        """Never outside trainq, so that nothing is computed for nobody."""
        return time.monotonic() - self.at >= CALM and bool(os.environ.get("TRAINQ_PROGRESS"))

    def note(self, **facts: Any) -> None:
        self.facts |= {name: value for name, value in facts.items() if value is not None}

    def metrics(self, found: Mapping[str, Any] | None) -> None:
        """Numbers by name; texts, and what goes by a name that is taken, are left out."""
        self.facts |= {
            str(name): value
            for name, value in (found or {}).items()
            if name not in TAKEN and not isinstance(value, str)
        }

    def tell(self, *, now: bool = False) -> None:
        if self.facts and (now or self.due()):
            facts, self.facts, self.at = self.facts, {}, time.monotonic()
            report(**facts)


def hook(act: Callable[..., None]) -> Callable[..., None]:
    """Nothing that goes wrong in `act` is the training's business."""

    @functools.wraps(act)
    def quiet(self: Any, *given: Any, **named: Any) -> None:
        try:
            act(self, *given, **named)
        except Exception as error:  # noqa: BLE001  (a later release of the library, say)
            warn(f"{type(self).__name__}.{act.__name__} did not report: {first_line(error)}")

    return quiet


def epochs(now: float, total: int) -> str:
    """In words; of a run whose number of epochs is not known, or stands for no bound, nothing."""
    return f"epoch {min(int(now) + 1, int(total))} of {total}" if 0 < total < NO_BOUND else ""


class HuggingFaceHooks:
    """`state` knows all: `global_step` of `max_steps`, and who is rank 0."""

    def __init__(self) -> None:
        super().__init__()
        self.teller = Teller()

    def _note(self, state: Any) -> None:
        self.teller.note(message=epochs(state.epoch or 0, state.num_train_epochs))
        if state.max_steps > 0:  # else nobody trains: an `evaluate` by itself
            self.teller.note(step=state.global_step, total=state.max_steps)

    @hook
    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control, kwargs
        self._tell(state, now=True)

    @hook
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control, kwargs
        if self.teller.due():
            self._tell(state)

    @hook
    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        del args, control, kwargs
        self.teller.metrics({name: value for name, value in (logs or {}).items() if not about_speed(name)})
        self._tell(state)

    @hook
    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control, kwargs
        if self.teller.due() and state.is_world_process_zero:
            self.teller.note(message="evaluates")
            self.teller.tell()

    @hook
    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control, kwargs
        self._tell(state, now=True)

    @hook
    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control, kwargs
        self._tell(state, now=True)

    def _tell(self, state: Any, *, now: bool = False) -> None:
        if state.is_world_process_zero:
            self._note(state)
            self.teller.tell(now=now)


def about_speed(name: str) -> bool:
    """Of what the Hugging Face Trainer logs, that which says nothing about the model; the message tells the epoch."""
    return name in {"epoch", "total_flos"} or name.endswith(("_runtime", "_per_second"))


class LightningHooks:
    """Counts optimizer steps as Lightning does, or batches where the module steps its optimizers itself."""

    def __init__(self) -> None:
        super().__init__()
        self.teller = Teller()
        self.total: float | None = None

    @hook
    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        by_steps = pl_module.automatic_optimization
        total = trainer.estimated_stepping_batches if by_steps else trainer.num_training_batches * last_epoch(trainer)
        self.total = total if 0 < total < math.inf else None
        self._tell(trainer, pl_module, {}, now=True)

    @hook
    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        if not self.teller.due() or not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        if isinstance(outputs, dict) and not {"loss", "train_loss"} & metrics.keys():
            self.teller.note(loss=outputs.get("loss"))
        self._tell(trainer, pl_module, metrics)

    @hook
    def on_validation_batch_start(self, trainer: Any, *_: Any) -> None:
        if self.teller.due() and trainer.is_global_zero and not trainer.sanity_checking:
            self.teller.note(message="validates")
            self.teller.tell()

    @hook
    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """All ranks look at the metrics, whoever reports: at the end of an epoch that may bring them together."""
        self._tell(trainer, pl_module, trainer.callback_metrics)

    @hook
    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._tell(trainer, pl_module, {}, now=True)

    def _tell(self, trainer: Any, pl_module: Any, metrics: Mapping[str, Any], *, now: bool = False) -> None:
        if not trainer.is_global_zero:
            return
        epoch, last = trainer.current_epoch, last_epoch(trainer)
        # where a module steps several optimizers itself, each of them counts
        step = trainer.global_step if pl_module.automatic_optimization else trainer.fit_loop.total_batch_idx + 1
        if self.total is None and last:
            self.teller.note(fraction=epoch / last)
        self.teller.note(step=step, total=self.total, message=epochs(epoch, last))
        self.teller.metrics(once(metrics))
        self.teller.tell(now=now)


def last_epoch(trainer: Any) -> int:
    """0: there is none."""
    return max(0, trainer.max_epochs or 0)


def once(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Lightning also tells `loss_step` and `loss_epoch` of a `loss`."""
    return {
        name: value
        for name, value in metrics.items()
        if name.removesuffix("_step").removesuffix("_epoch") == name or name.rpartition("_")[0] not in metrics
    }


class KerasHooks:
    """Counts batches over all epochs; while their number is not known, epochs."""

    async_safe = True
    """Else Keras would have each batch's metrics computed before the next one begins."""
    _supports_tf_logs = True
    """The same for Keras 2."""

    def __init__(self) -> None:
        super().__init__()
        self.teller = Teller()
        self.params: Any = None
        self.epoch = self.seen = 0
        self.steps: int | None = None
        """Batches in an epoch."""
        self.fits = False

    @hook
    def on_train_begin(self, logs: Any = None) -> None:
        del logs
        self.fits, self.steps = True, (self.params or {}).get("steps")

    @hook
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        del logs
        self.epoch, self.seen = epoch, 0
        self._tell()

    @hook
    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.seen = max(self.seen, batch + 1)  # they may come out of order
        if self.teller.due():
            self.teller.metrics(logs)
            self._tell()

    @hook
    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        if self.fits and self.teller.due():
            self.teller.note(message="validates")
            self.teller.tell()

    @hook
    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        del epoch
        self.steps = self.steps or self.seen or None
        self.teller.metrics(logs)
        self._tell()

    @hook
    def on_train_end(self, logs: Any = None) -> None:
        del logs
        self.fits = False
        self._tell(now=True)

    def _tell(self, *, now: bool = False) -> None:
        last = (self.params or {}).get("epochs") or 0
        if self.steps:
            self.teller.note(step=self.epoch * self.steps + self.seen, total=last * self.steps or None)
        elif last:
            self.teller.note(fraction=self.epoch / last)
        self.teller.note(message=epochs(self.epoch, last))
        self.teller.tell(now=now)


HOOKS: dict[str, tuple[type, tuple[str, ...], str]] = {
    "HuggingFace": (HuggingFaceHooks, ("transformers",), "TrainerCallback"),
    "Keras": (KerasHooks, ("keras.callbacks", "tensorflow.keras.callbacks"), "Callback"),
    "Lightning": (LightningHooks, ("lightning.pytorch", "pytorch_lightning"), "Callback"),
}
"""By name: what it does, the modules that may have its base, and what that is called."""


def base(modules: tuple[str, ...], name: str) -> Any:
    """Of the library that the script has imported already, or else of the first one that is installed.

    Raises ImportError.
    """
    loaded = [module for module in modules if module in sys.modules]
    for module in [*loaded, *modules[:-1]]:
        with contextlib.suppress(ImportError):
            return getattr(import_module(module), name)
    return getattr(import_module(modules[-1]), name)


def __getattr__(name: str) -> Any:
    if name not in HOOKS:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    hooks, modules, called = HOOKS[name]
    made = type(name, (hooks, base(modules, called)), {"__module__": __name__, "__doc__": hooks.__doc__})
    globals()[name] = made  # also where pickle finds it
    return made
