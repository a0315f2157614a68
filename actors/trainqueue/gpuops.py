"""What the ops about GPUs do: `gpus`, `enable`, `disable`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from trainqueue.core import events as ev
from trainqueue.core.card import Trace
from trainqueue.core.limits import UNKNOWN_BASELINE
from trainqueue.errors import RequestError
from trainqueue.gpuview import gpu_views, some_views

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainqueue.arbiter import GPUArbiter
    from trainqueue.core.board import Board
    from trainqueue.core.card import Card
    from trainqueue.journal import Journal

CHOICES, TRACES = "gpu_choices", "gpu_traces"
"""Settings of the journal: what people have enabled and disabled; what the next daemon has to know of the GPUs."""


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


def kept_choices(journal: Journal) -> Mapping[str, bool]:
    """Empty where they cannot be read."""
    try:
        return msgspec.json.decode(journal.setting(CHOICES) or "{}", type=dict[str, bool])
    except ValueError:
        return {}


class Traces(msgspec.Struct, frozen=True):
    """As the journal has them: of which boot of the machine they are, and of each GPU by its id."""

    boot: str = ""
    gpus: dict[str, Trace] = {}


def kept_traces(journal: Journal, boot: str) -> Mapping[str, Trace]:
    """Empty where they cannot be read. Where the machine was restarted since, memory is back and errors are over.

    What is left then is what a person has said may be in use (more than anybody but a person lets pass).
    """
    try:
        found = msgspec.json.decode(journal.setting(TRACES) or "{}", type=Traces)
    except ValueError:
        return {}
    if found.boot == boot:
        return found.gpus
    said = {gpu: trace.baseline for gpu, trace in found.gpus.items()}
    return {gpu: Trace(baseline) for gpu, baseline in said.items() if (baseline or 0) > UNKNOWN_BASELINE}


def written(traces: Mapping[str, Trace], boot: str) -> str:
    """For the journal, what `kept_traces` reads."""
    return msgspec.json.encode(Traces(boot, dict(traces))).decode()
