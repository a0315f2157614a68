"""One line of progress for a training script: `report(step=3, total=10, loss=0.2)`.

Standard library only, quick to import, and nothing outside trainq. It never raises into a training run.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import warnings

_last: dict[str, float | str | None] = {}
_calls = itertools.count()
"""A name of its own for each call's temporary file: threads may report at the same time."""
MAX_WHOLE = 2**53
"""Larger whole numbers are no numbers to most readers of JSON."""


def report(
    step: float | None = None,
    total: float | None = None,
    *,
    fraction: float | None = None,
    message: str | None = None,
    **metrics: float,
) -> None:
    """Replace the job's progress.json; what was said before and is not said again stays.

    Numbers may be those of NumPy and PyTorch. One that is not finite takes back what was said before.
    """
    path = os.environ.get("TRAINQ_PROGRESS")
    if not path:
        return
    given = {"step": step, "total": total, "fraction": fraction, **metrics}
    fresh: dict[str, float | str | None] = {
        name: plain(name, value) for name, value in given.items() if value is not None
    }
    if fraction is None and (step is not None or total is not None):
        _last.pop("fraction", None)  # it would hide the steps
    if message is not None:
        fresh["message"] = text(message)
    _last.update(fresh)
    write(path, dict(_last))


def write(path: str, whole: dict[str, float | str | None]) -> None:
    temporary = f"{path}.{os.getpid()}.{next(_calls)}"
    try:
        with open(temporary, "w", encoding="utf-8") as file:  # noqa: PTH123  (pathlib costs an import)
            json.dump(whole, file, allow_nan=False)
        os.replace(temporary, path)  # noqa: PTH105
    except Exception as error:  # noqa: BLE001  (whatever a disk does, the training run goes on)
        warn(f"progress was not reported: {error}")
        with contextlib.suppress(OSError):  # it may not have come into being
            os.unlink(temporary)  # noqa: PTH108


def plain(name: str, value: object) -> float | None:
    """A finite number, whatever class it is of; else None, with a warning where it is none at all."""
    try:
        item = getattr(value, "item", None)  # NumPy's and PyTorch's way to a plain number
        number = item() if callable(item) else value
        number = number if isinstance(number, int) and abs(number) <= MAX_WHOLE else float(number)  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001  (anything can be given here, and can raise anything)
        warn(f"{name} is no number: {error}")
        return None
    return number if math.isfinite(number) else None


def text(message: object) -> str:
    try:
        return str(message).encode(errors="replace").decode()
    except Exception as error:  # noqa: BLE001  (the same)
        warn(f"the message is no text: {error}")
        return ""


def warn(sentence: str) -> None:
    with contextlib.suppress(Warning):  # raised where warnings are errors; a report is no reason to end a run
        warnings.warn(f"trainq: {sentence}", stacklevel=4)
