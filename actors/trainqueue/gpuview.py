"""GPUs as the wire shows them, from what the core knows: no driver is asked here, since a sick one does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainqueue.core.arbiter import Core
    from trainqueue.core.card import Card
    from trainqueue.core.reading import Process


def gpu_views(core: Core) -> list[dict[str, Any]]:
    """The contract's Gpus, in the order of their indices."""
    return some_views(core, core.board.cards.values())


def some_views(core: Core, cards: Iterable[Card]) -> list[dict[str, Any]]:
    keepers = core.kept()
    return [gpu_view(core, card, keepers.get(card.id)) for card in cards]


def gpu_view(core: Core, card: Card, keeper: int | None) -> dict[str, Any]:
    """`keeper`: the waiting job that it is kept for."""
    reading, processes = card.reading, card.reading.processes or ()
    ailment = core.board.ailment(card)
    return {
        "id": reading.id,
        "index": reading.index if card.seen else None,
        "name": reading.name,
        "memory_total": reading.memory_total,
        "memory_used": reading.memory_used,
        "utilization": reading.utilization,
        "temperature": reading.temperature,
        "power": reading.power,
        "jobs": [*core.leases.on(reading.id)],
        "foreign": shown(process for process in processes if process.job is None and not process.ignored),
        "ignored": shown(process for process in processes if process.job is None and process.ignored),
        "processes": [{**show(process), "job": process.job} for process in processes if process.job is not None],
        "use": core.use(card.id),
        "healthy": ailment is None,
        "enabled": card.enabled,
        "waiting_for_memory": card.proof is not None,
        "kept_for": keeper,
        "why": ailment or card.disabled or in_the_way(core, card),
    }


def in_the_way(core: Core, card: Card) -> str | None:
    """What keeps it from being given out although it is healthy, as a sentence."""
    return core.board.used_by(card) or (card.waiting if card.proof is not None else None)


def shown(processes: Iterable[Process]) -> list[dict[str, Any]]:
    return [show(process) for process in processes]


def show(process: Process) -> dict[str, Any]:
    return {"pid": process.pid, "user": process.user, "command": process.command, "memory": process.memory}
