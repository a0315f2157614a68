"""Every event about GPUs in every state of a GPU: what it is used for afterwards, and whether a waiting job starts."""

from __future__ import annotations

import pytest
from core.machine import GIB, SICK, Machine

from trainqueue.core import events as ev

STATES = ("free", "asked", "held", "foreign", "memory", "overdue", "lost", "condemned", "disabled", "sick")


def made(state: str) -> Machine:
    """A machine with one GPU in this state, and the next job in the line."""
    machine = Machine(1)
    machine.see()
    if state in {"held", "memory", "overdue"}:
        [job] = machine.submit()
        machine.answer_all()
        machine.run(job)
        if state != "held":
            machine.end(job, lingers=5 * GIB)
            machine.answer()
        if state == "overdue":
            machine.do(machine.timers[0])
    card = machine.cards[0]
    if state == "foreign":
        machine.stranger("GPU-0")
    card.lost = state == "lost"
    card.xids = [79] if state == "condemned" else []
    machine.driver = SICK if state == "sick" else None
    if state not in {"memory", "overdue", "held"}:
        machine.see()
    if state == "disabled":
        machine.do(ev.SetGpu("0", enabled=False))
    if state == "free":
        machine.do(ev.SetMode(paused=True, draining=False))
    machine.submit()
    machine.started.clear()
    return machine


EVENTS = ("round", "answer", "glance", "overdue", "settled", "enable", "disable", "trouble", "gone", "well")
SAME = {
    "free": "free",
    "asked": "free",
    "held": "held",
    "foreign": "foreign",
    "memory": "memory",
    "disabled": "disabled",
    **dict.fromkeys(("overdue", "lost", "condemned", "sick"), "unhealthy"),
}
"""What each state is used for."""
NOT_HELD = [state for state in STATES if state != "held"]
DISABLED = dict.fromkeys(NOT_HELD, "disabled")
UNHEALTHY = dict.fromkeys([state for state in NOT_HELD if state != "disabled"], "unhealthy")
EXPECTED: dict[str, dict[str, str]] = {
    "round": {},
    "answer": {"asked": "started"},
    "glance": {},
    "overdue": {"memory": "unhealthy"},
    "settled": {},
    "enable": {"memory": "free", "overdue": "free", "condemned": "free", "disabled": "free"},
    "disable": DISABLED,
    "trouble": UNHEALTHY,
    "gone": UNHEALTHY,
    "well": {state: "started" for state in NOT_HELD if state not in {"free", "disabled", "condemned"}}
    | {"condemned": "unhealthy"},
}


def happen(machine: Machine, event: str) -> None:
    card = machine.cards[0]
    if event in {"round", "glance"}:
        machine.see(processes=event == "round")
    elif event == "answer":
        machine.round()
    elif event == "overdue":
        proof = machine.core.board.cards["GPU-0"].proof
        machine.do(ev.ProofOverdue("GPU-0", proof or 99))
    elif event == "settled":
        machine.do(ev.Settled(1, 1))
    elif event in {"enable", "disable"}:
        machine.do(ev.SetGpu("GPU-0", enabled=event == "enable"))
    elif event == "trouble":
        machine.driver = SICK
        machine.see()
    elif event == "gone":
        machine.driver, card.lost = None, True
        machine.see()
    else:  # all that others do to it is over
        machine.driver, card.lost, card.lingers = None, False, 0
        card.processes = [process for process in card.processes if process.job in machine.core.leases.on("GPU-0")]
        machine.see()
        for _ in range(len(machine.looks)):
            machine.answer()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", EVENTS)
def test_every_event_in_every_state(state: str, event: str) -> None:
    machine = made(state)
    assert machine.core.use("GPU-0") == SAME[state]
    happen(machine, event)
    expected = EXPECTED[event].get(state, SAME[state])
    assert machine.core.use("GPU-0") == ("held" if expected == "started" else expected)
    assert bool(machine.started) == (expected == "started")


def test_an_overdue_gpu_is_looked_at_before_it_is_given_out() -> None:
    machine = made("overdue")
    machine.do(ev.SetGpu("0", enabled=True))
    assert machine.core.looks.pending("GPU-0")
    assert machine.started == []
