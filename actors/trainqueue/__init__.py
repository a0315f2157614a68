"""trainq: the job queue for the GPU under your desk.

`Queue` embeds it, `Client` talks to a daemon, `report` tells a training script's progress. All are imported
when first used: a training script that only reports pays nothing for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainqueue.client import Client
    from trainqueue.embed import Queue
    from trainqueue.errors import TrainqError
    from trainqueue.report import report

__all__ = ["Client", "Queue", "TrainqError", "report"]

__version__ = "0.1.0"
_HOMES = {"Client": "client", "Queue": "embed", "TrainqError": "errors", "report": "report"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
