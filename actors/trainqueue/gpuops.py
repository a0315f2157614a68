"""What the ops about GPUs do: `gpus`, `enable`, `disable`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trainqueue.core import events as ev
from trainqueue.errors import RequestError
from trainqueue.gpuview import gpu_views, some_views

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core.board import Board
    from trainqueue.core.card import Card
    from trainqueue.journal import Journal

CHOICES, BASELINES = "gpu_choices", "gpu_baselines"
"""Settings of the journal: what people have enabled and disabled; bytes in use on each GPU before its job came."""


def gpus(arbiter: GPUArbiter) -> object:
    """All of them, and what is wrong with the driver, if something is."""
    return {"gpus": gpu_views(arbiter.core), "trouble": arbiter.core.board.trouble}


def switch(arbiter: GPUArbiter, names: Iterable[int | str], *, enabled: bool) -> object:
    """Those named, as they are now. Running jobs run on. Raises RequestError, with nothing changed."""
    core = arbiter.core
    cards = [find(core.board, name, f"$.gpus[{at}]") for at, name in enumerate(names)]
    for card in cards:
        arbiter.apply(ev.SetGpu(card.id, enabled))
    arbiter.ledger.batch.settings[CHOICES] = json.dumps(core.board.choices)
    return {"gpus": some_views(core, {card.id: card for card in cards}.values())}


def find(board: Board, name: int | str, where: str) -> Card:
    """By index, UUID, or the beginning of one that no other has. Raises RequestError ("not-found", "bad-request")."""
    if isinstance(name, int) or name.isdigit() or name in board.cards:
        return board.find(name)
    found = [card for card in board.cards.values() if card.id.startswith(name)]
    if not found:
        return board.find(name)
    if len(found) > 1:
        several = ", ".join(card.id for card in found[:4])
        raise RequestError("bad-request", f"{where}: {name!r} is the beginning of several: {several}")
    return found[0]


def kept(journal: Journal, name: str) -> Mapping[str, Any]:
    """One of the two settings; empty where it cannot be read."""
    try:
        found = json.loads(journal.setting(name) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
