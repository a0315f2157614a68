"""What a job may ask for depends on the machine and the settings, too; asked when it is submitted or edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core.spec import JobSpec


def check(arbiter: GPUArbiter, specs: Iterable[tuple[str, JobSpec]]) -> None:
    """Each with where it stands in the request. Raises RequestError ("bad-request") naming the field."""
    cells, stalls = arbiter.bench.cells, arbiter.stalls.rule
    for where, spec in specs:
        if spec.memory_limit is not None and cells.base is None:
            raise RequestError("bad-request", f"{where}.memory_limit: {cells.sentence()}")
        if spec.stall_action == "stop" and not stalls.of(spec).timeout:
            missing = "missing, here and in the settings" if spec.stall_timeout is None else "0, which means never"
            never = f"nothing says when it has stalled: stall_timeout is {missing}"
            raise RequestError("bad-request", f"{where}.stall_action: {never}")
