"""One line of progress for a training script: `report(step=3, total=10, loss=0.2)`.

Standard library only, quick to import, and nothing outside trainq. It never raises into a training run.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import sys
import warnings
from types import ModuleType
from typing import Any

Facts = dict[str, float | str | None]

_last: Facts = {}
_calls = itertools.count()
"""A name of its own for each call's temporary file: threads may report at the same time."""
MAX_WHOLE = 2**53
"""Larger whole numbers are no numbers to most readers of JSON."""
MAX_BYTES, MAX_TEXT, MAX_NAME = 65_536, 1000, 200
"""A larger file is not read by the daemon, nor is more of a message; and characters of a metric's name."""
RANKS = ("RANK", "LOCAL_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
"""What torchrun, Accelerate, DeepSpeed, Lightning, Open MPI and MPICH tell each process of a run."""


def report(
    step: float | None = None,
    total: float | None = None,
    *,
    fraction: float | None = None,
    message: str | None = None,
    **metrics: float,
) -> None:
    """Replace the job's progress.json; what was said before and is not said again stays.

    Numbers may be those of NumPy, PyTorch, JAX and TensorFlow. One that is not finite takes back what was said before.
    Of a run of several processes only that of rank 0 is heard.
    """
    path = os.environ.get("TRAINQ_PROGRESS")
    if not path or not speaks():
        return
    fresh: Facts = {}
    for name, value in {"step": step, "total": total, "fraction": fraction, **metrics}.items():
        if value is not None:
            fresh[name[:MAX_NAME]] = plain(name, value)
    if fraction is None and (step is not None or total is not None):
        _last.pop("fraction", None)  # it would hide the steps
    if message is not None:
        fresh["message"] = text(message)
    _last.update(fresh)
    write(path, fitting(dict(_last)))


def speaks() -> bool:
    """Whether this is the process that tells how far its job is: the only one, or that of rank 0."""
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is not None:  # it knows better than the environment, which nobody needs to set
        with contextlib.suppress(Exception):
            if distributed.is_available() and distributed.is_initialized():
                return bool(distributed.get_rank() == 0)
    ranks = (os.environ.get(name, "").strip() for name in RANKS)
    return not any(rank.isdecimal() and int(rank) for rank in ranks)


def fitting(whole: Facts) -> str:
    """As JSON that is not too large to be read: of thousands of metrics the first ones."""
    data = json.dumps(whole, allow_nan=False)
    while len(data) > MAX_BYTES:
        keep = len(whole) // 2
        warn(f"{len(whole)} metrics are too many; only the first {keep} are shown")
        told: Facts = {name: whole[name] for name in ("step", "total", "fraction", "message") if name in whole}
        whole = {**dict(itertools.islice(whole.items(), keep)), **told}
        data = json.dumps(whole, allow_nan=False)
    return data


def write(path: str, data: str) -> None:
    temporary = f"{path}.{os.getpid()}.{next(_calls)}"
    try:
        with open(temporary, "w", encoding="utf-8") as file:  # noqa: PTH123  (pathlib costs an import)
            file.write(data)
        os.replace(temporary, path)  # noqa: PTH105
    except Exception as error:  # noqa: BLE001  (whatever a disk does, the training run goes on)
        # without the name, which is another one each time: the same warning is shown once
        warn(f"progress was not reported: {getattr(error, 'strerror', None) or first_line(error)}")
        with contextlib.suppress(OSError):  # it may not have come into being
            os.unlink(temporary)  # noqa: PTH108


def plain(name: str, value: object) -> float | None:
    """A finite number, whatever class it is of; else None, with a warning where it is none at all."""
    try:
        if hasattr(value, "full_tensor"):
            # PyTorch's DTensor: all ranks would have to take part, and wait for ever for those that do not report
            warn(f"{name} is spread over several processes: report its full_tensor().item(), computed on all of them")
            return None
        item = getattr(value, "item", None)  # NumPy's, PyTorch's and JAX's way to a plain number
        number: Any = item() if callable(item) else value
        if not isinstance(number, int) or abs(number) > MAX_WHOLE:
            number = float(number)
        number = int(number) if isinstance(number, bool) else number
    except Exception as error:  # noqa: BLE001  (anything can be given here, and can raise anything)
        warn(f"{words(name)} is no number: {first_line(error)}")
        return None
    return number if math.isfinite(number) else None


def text(message: object) -> str:
    try:
        return words(message)
    except Exception as error:  # noqa: BLE001  (the same)
        warn(f"the message is no text: {type(error).__name__}")
        return ""


def words(said: object) -> str:
    """Short enough for the wire, and without the halves of characters. Raises what `str` raises."""
    return str(said)[:MAX_TEXT].encode(errors="replace").decode()


def first_line(error: Exception) -> str:
    """JAX explains at length, and others fail at that, too."""
    with contextlib.suppress(Exception):
        return words(error).splitlines()[0][:200]
    return type(error).__name__


def warn(sentence: str) -> None:
    with contextlib.suppress(Exception):  # raised where warnings are errors; a report is no reason to end a run
        warnings.warn(f"trainq: {sentence}", stacklevel=4)


class Callable(ModuleType):
    """Whoever imports this module (the callbacks do) makes it `trainqueue.report`, which scripts call."""

    def __call__(self, *given: Any, **named: Any) -> None:
        report(*given, **named)


sys.modules[__name__].__class__ = Callable
