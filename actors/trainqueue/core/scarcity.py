"""What stands between a job and its GPUs: a code for programs and a sentence with figures for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainqueue.core.expect import ambiguous, eligible, ends, would_do
from trainqueue.core.needs import ask
from trainqueue.core.spot import Spot
from trainqueue.core.words import duration, number, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainqueue.core.arbiter import Core
    from trainqueue.core.board import Board
    from trainqueue.core.card import Card
    from trainqueue.core.job import Job
    from trainqueue.core.slot import Slot
    from trainqueue.core.spec import JobSpec

SOME = 3
"""Sentences about single GPUs in one answer."""


def missing(board: Board, spec: JobSpec) -> str:
    """Why the GPUs that there are can never be enough."""
    cards = [card for card in board.cards.values() if card.seen]
    there, slots = [card for card in cards if not card.lost], [board.slot(card) for card in cards]
    fitting = _cards(board, would_do(spec, slots))
    if spec.gpus > len(cards):
        return f"needs {number(spec.gpus, 'GPU')}, this machine has {len(there)}"
    if len(fitting) < spec.gpus and (found := ambiguous(spec, slots)) is not None:
        return f"{found[0]} is the beginning of several GPUs: {', '.join(found[1][:SOME])}"
    if not fitting:
        return f"no GPU here {_wish(spec)}"
    if len(fitting) < spec.gpus:
        return f"needs {number(spec.gpus, 'GPU')}, and here only these are so: {_labels(fitting)} ({_wish(spec)})"
    reasons = [board.ailment(card) or card.disabled or "" for card in fitting if not board.is_available(card)]
    return _lead(spec) + _some(reasons)


def _cards(board: Board, slots: Sequence[Slot]) -> list[Card]:
    return [board.cards[slot.id] for slot in slots]


def _wish(spec: JobSpec) -> str:
    """What its GPUs must be like: "has 48 GiB and is called H100"."""
    share = spec.gpu_memory if isinstance(spec.gpu_memory, int) else 0
    wishes = [f"is {' or '.join(map(str, spec.gpu_from))}"] if spec.gpu_from else []
    if spec.gpu_name is not None:
        wishes.append(f"is called {spec.gpu_name}")
    if most := max(share, spec.gpu_min_memory or 0):
        wishes.append(f"has {size(most)}")
    return " and ".join(wishes)


def _labels(cards: list[Card]) -> str:
    return _some([card.label for card in cards])


def _lead(spec: JobSpec) -> str:
    return f"needs {spec.gpus} GPUs; " if spec.gpus > 1 else ""


def _some(sentences: list[str]) -> str:
    return "; ".join([*sentences[:SOME], *([f"and {len(sentences) - SOME} more"] if len(sentences) > SOME else [])])


def obstacle(core: Core, job: Job) -> tuple[str, str] | None:
    """What keeps the first of those that need a GPU from starting, beside the jobs on them; None for nothing else."""
    board = core.board
    if board.trouble is not None and (not board.counted() or any(card.reading.measured for card in board.counted())):
        return "gpu-count", board.trouble
    if not board.known:
        return "gpu-count", "which GPUs this machine has is being found out"
    slots, share = eligible(job.spec, board.slots(), core.past)
    fitting = _cards(board, slots)
    by_use = {use: [card for card in fitting if board.use(card) == use] for use in map(board.use, fitting)}
    reasons = [("gpu-foreign", board.used_by(card) or "") for card in by_use.get("foreign", [])]
    reasons += [("gpu-memory", card.waiting) for card in by_use.get("memory", [])]
    away = [*by_use.get("unhealthy", []), *by_use.get("disabled", [])]
    reasons += [("gpu-count", board.ailment(card) or card.disabled or "") for card in away]
    if share is not None:
        some = [*by_use.get("held", []), *by_use.get("free", [])]
        reasons += [reason for card in some if (reason := _sharing(core, share, card)) is not None]
    if not reasons:
        return None
    rest = f"; {in_use(core)}" if any(board.use(card) == "held" for card in fitting) else ""
    return reasons[0][0], _lead(job.spec) + _some([sentence for _, sentence in reasons]) + rest


def barred(core: Core, job: Job) -> tuple[str, str] | None:
    """What would keep a job that stands further back even if it were the first; None where only its turn is missing.

    Jobs that ask for the same are answered once a step: a page may show thousands of them.
    """
    key = ask(job.spec)
    if key not in core.barring:
        core.barring[key] = _barred(core, job)
    return core.barring[key]


def _barred(core: Core, job: Job) -> tuple[str, str] | None:
    board = core.board
    if all(board.use(card) in {"free", "held"} for card in board.counted()):
        return None
    fitting = _cards(board, eligible(job.spec, board.slots(), core.past)[0])
    within_reach = [card for card in fitting if board.use(card) in {"free", "held"}]
    return obstacle(core, job) if len(within_reach) < job.spec.gpus else None


def gathered(core: Core, job: Job, now: float) -> str | None:
    """What is kept for a wide job that is the first in line, and who is on the others; None where nothing is kept."""
    kept = sum(core.kept().get(card.id) == job.id for card in core.board.counted())
    if job.spec.gpus < 2 or not kept:
        return None
    cards = _cards(core.board, eligible(job.spec, core.board.slots(), core.past)[0])
    busy = [runs for card in cards if (runs := _runs(core, card, now)) is not None]
    return f"needs {job.spec.gpus} GPUs: " + _some([f"{kept} {'is' if kept == 1 else 'are'} kept for it", *busy])


def _runs(core: Core, card: Card, now: float) -> str | None:
    """GPU 2 runs job 5 (expected to end within 12 min): until the last of several. None for an idle one."""
    jobs = [*core.leases.on(card.id)]
    if not jobs:
        return None
    latest = [ends(core.jobs[job], now, core.past).latest for job in jobs]
    known = [end for end in latest if end is not None]
    left = f" (expected to end within {duration(max(known) - now)})" if len(known) == len(jobs) else ""
    return f"{card.label} runs job {', '.join(map(str, jobs))}{left}"


def reserved(core: Core, job: Job) -> str:
    """What a job that stands further back might have, were it not kept for somebody in front of it."""
    kept = core.kept()
    for card in _cards(core.board, would_do(job.spec, core.board.slots()) if kept else []):
        keeper = kept.get(card.id, job.id)
        if keeper != job.id:
            return f"; {card.label} is kept for job {keeper}, which needs {number(core.jobs[keeper].spec.gpus, 'GPU')}"
    return ""


def in_use(core: Core) -> str:
    cards = core.board.counted()
    busy = sum(bool(core.leases.on(card.id)) for card in cards)
    if len(cards) == 1:
        return f"{cards[0].label} is in use" if busy else f"{cards[0].label} is free"
    return f"{busy} of {len(cards)} GPUs are in use"


def _sharing(core: Core, share: int, card: Card) -> tuple[str, str] | None:
    """Why a job that would share does not join those that share this GPU, or be the first."""
    tenants = core.leases.on(card.id)
    if None in tenants.values():
        return None
    if (used := core.board.used_by(card)) is not None:
        return "gpu-foreign", used
    if card.proof is not None:
        return "gpu-memory", card.waiting
    sentence = _room(core, share, card)
    return None if sentence is None else ("position", sentence)


def _room(core: Core, share: int, card: Card) -> str | None:
    """What it waits for where nothing but the others' shares is in its way."""
    tenants = core.leases.on(card.id)
    left = (card.reading.memory_total or 0) - sum(its or 0 for its in tenants.values())
    if left < share:
        return f"needs {size(share)}, {card.label} has {size(left)} to give"
    waits = [other for other in tenants if other not in card.settled]
    if waits:
        return f"waits until job {waits[0]} on {card.label} has its full memory, or has run for a while"
    measured = Spot(core.board.slot(card)).left
    if measured >= share:
        return None
    beside = " beside what others may use" if tenants else ""
    return f"needs {size(share)}, on {card.label} {size(max(0, measured))} are free{beside}"
