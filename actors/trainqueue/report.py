"""One line of progress for a training script: `report(step=3, total=10, loss=0.2)`.

Standard library only, quick to import, and nothing outside trainq. It never raises into a training run.
"""

from __future__ import annotations

import json
import os
import warnings

_last: dict[str, float | str] = {}


def report(
    step: float | None = None,
    total: float | None = None,
    *,
    fraction: float | None = None,
    message: str | None = None,
    **metrics: float,
) -> None:
    """Replace the job's progress.json; what was said before and is not said again stays."""
    path = os.environ.get("TRAINQ_PROGRESS")
    if not path:
        return
    given = {"step": step, "total": total, "fraction": fraction, "message": message, **metrics}
    try:
        fresh = {name: plain(value) for name, value in given.items() if value is not None}
        _last.update(fresh)
        temporary = f"{path}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as file:  # noqa: PTH123  (pathlib costs an import)
            json.dump(_last, file)
        os.replace(temporary, path)  # noqa: PTH105
    except (OSError, TypeError, ValueError) as error:
        warnings.warn(f"trainq: progress was not reported: {error}", stacklevel=2)


def plain(value: float | str) -> float | str:
    """NumPy and PyTorch scalars become numbers."""
    return value if isinstance(value, str | int) else float(value)
