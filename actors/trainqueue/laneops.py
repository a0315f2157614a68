"""What the ops about lanes do: `lanes`, `lane`; and how what people have said of them is kept."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from trainqueue.core import events as ev
from trainqueue.core.lanes import Choice
from trainqueue.core.words import DEFAULT_LANE
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainqueue import wire
    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core.arbiter import Core
    from trainqueue.core.lanes import Lane
    from trainqueue.journal import Journal

logger = logging.getLogger(__name__)
CHOICES = "lanes"
"""Setting of the journal."""


def views(core: Core) -> list[dict[str, Any]]:
    """All of them, the one without a name first."""
    names = sorted(core.lanes.all, key=lambda name: (name != DEFAULT_LANE, name))
    return [view(core, name) for name in names]


def view(core: Core, name: str) -> dict[str, Any]:
    """The wire's Lane. `held`: GPUs that its jobs hold now, one that is shared for each of them."""
    lane = core.lanes.all[name]
    return {
        "name": name,
        "gpus": lane.gpus,
        "paused": lane.paused,
        "paused_since": lane.paused_since,
        "held": core.gates.used["lane", name],
        "running": core.lanes.running[name],
        "waiting": len(core.lanes.waiting.get(name, ())),
        "from_settings": name in core.lanes.from_settings,
    }


def change(arbiter: GPUArbiter, request: wire.Lane) -> object:
    """Make, change or remove one. Raises RequestError, with nothing changed."""
    choice = Choice(request.gpus, request.paused)
    if not request.remove:
        arbiter.apply(ev.SetLane(request.name, choice))
        return {"lane": view(arbiter.core, request.name)}
    if choice != Choice():
        raise RequestError("bad-request", "$.remove: goes with neither gpus nor paused")
    arbiter.apply(ev.RemoveLane(request.name))
    return {"lane": None}


def changed(arbiter: GPUArbiter, name: str, lane: Lane | None) -> None:
    """Write it down and tell it; `removed` where it is None."""
    arbiter.ledger.batch.settings[CHOICES] = msgspec.json.encode(arbiter.core.lanes.choices).decode()
    told = {"gpus": lane and lane.gpus, "paused": lane is not None and lane.paused, "removed": lane is None}
    arbiter.event("queue", {"type": "lane", "name": name, **told})


def kept(journal: Journal) -> Mapping[str, Choice]:
    """What people have said of lanes. Where that cannot be read it is nothing, which is said in the log."""
    try:
        return msgspec.json.decode(journal.setting(CHOICES) or "{}", type=dict[str, Choice])
    except ValueError as error:
        logger.warning("what was said of the lanes cannot be read, so that only the settings count: %s", error)
        return {}
