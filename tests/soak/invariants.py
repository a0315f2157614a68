"""What must hold after any number of kills. Each invariant is a function of a Reading that yields violations.

The word of the jobs (stamps, locks) and of the clients (what was acknowledged) stands against the daemon's.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from soak.history import ENDED, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from soak.history import Ask, History, Order, Stamp

NEXT = {
    "": {"queued"},
    "queued": {"queued", "pending", "cancelled"},
    "pending": {"pending", "running", "failed", "cancelled", "queued"},
    "running": {"running", "completed", "failed", "cancelled", "lost", "queued"},
    **{state: {"queued"} for state in ENDED},
}
"""The contract's table; a job may be told of again in the state that it has."""
SLACK = 0.05
"""Seconds by which the wall clock of an event may differ from the monotonic one of a stamp."""


def nothing_is_lost(reading: Reading) -> Iterator[str]:
    """Whatever was acknowledged is there and has ended."""
    for order in reading.history.orders:
        if order.id is None:
            yield f"key {order.key} was never acknowledged"
        elif order.id not in reading.history.jobs:
            yield f"job {order.id} was acknowledged and is not there"
        elif reading.history.jobs[order.id]["state"] not in ENDED:
            job = reading.history.jobs[order.id]
            yield f"job {order.id} did not end: {job['state']}, {job.get('why')}"


def a_key_runs_once(reading: Reading) -> Iterator[str]:
    """One job a key, one id a job."""
    ids = Counter(order.id for order in reading.history.orders if order.id is not None)
    yield from (f"id {job} was given {count} times" for job, count in ids.items() if count > 1)
    keys = {job["id"]: key_of(job["command"]) for job in reading.history.jobs.values()}
    counted = Counter(keys.values())
    yield from (f"key {key} is in the queue {count} times" for key, count in counted.items() if count > 1)
    for job, order in reading.acknowledged.items():
        if keys.get(job, order.key) != order.key:
            yield f"job {job} is {keys[job]}, acknowledged as {order.key}"


def key_of(command: list[str]) -> str:
    """Where job.py has it: behind interpreter, its options, the program and the folder."""
    return command[5]


def edition_of(command: list[str]) -> int:
    return int(command[6])


def an_attempt_runs_once(reading: Reading) -> Iterator[str]:
    for job, stamps in reading.stamps.items():
        counted = Counter((stamp.what, stamp.attempt) for stamp in stamps if stamp.what in {"start", "stop"})
        for (what, attempt), count in counted.items():
            if count > 1:
                yield f"job {job}, attempt {attempt}: {count} times {what}"
        for stamp in stamps:
            order = reading.acknowledged.get(job)
            if order is not None and stamp.key != order.key:
                yield f"job {job} ran as {stamp.key}, acknowledged as {order.key}"


def a_job_ends_once(reading: Reading) -> Iterator[str]:
    for job, view in reading.history.jobs.items():
        counted = Counter(news.attempt for news in reading.ends(job))
        yield from (f"job {job}, attempt {at} ended {count} times" for at, count in counted.items() if count > 1)
        if view["state"] in ENDED and not counted[view["attempt"]]:
            yield f"job {job} is {view['state']}, but no event tells of that end"


def states_follow_the_table(reading: Reading) -> Iterator[str]:
    for job, told in reading.news.items():
        before = ""
        for news in told:
            if news.state not in NEXT[before]:
                yield f"job {job}: {before or 'nothing'} -> {news.state} (event {news.seq})"
            before = news.state


def events_have_no_hole(reading: Reading) -> Iterator[str]:
    seqs = reading.history.seqs
    if seqs != [*range(1, len(seqs) + 1)]:
        hole = next(at for at, seq in enumerate(seqs, 1) if at != seq)
        yield f"events: where number {hole} should be there is {seqs[hole - 1]}"


def codes_are_true(reading: Reading) -> Iterator[str]:
    """The end that a job is said to have had is the one that it stamped, or one that a kill explains."""
    for job, order in reading.acknowledged.items():
        view = reading.history.jobs.get(job)
        check = CHECKS.get(view["state"]) if view is not None else None
        if view is not None and check is not None and (wrong := check(reading, order, view)):
            yield f"job {job}, attempt {view['attempt']} is {view['state']} ({view['cause']}): {wrong}"


def wrong_completed(reading: Reading, order: Order, view: dict[str, Any]) -> str | None:
    return wrong_exit(reading, order, view, 0)


def wrong_failed(reading: Reading, order: Order, view: dict[str, Any]) -> str | None:
    attempt = int(view["attempt"])
    if view["cause"] == "exit":
        if 1 <= attempt <= order.retries and order.alone:
            return "it should have been retried"
        return "0 is no failure" if view["exit_code"] == 0 else wrong_exit(reading, order, view, int(view["exit_code"]))
    if view["cause"] == "signal" and view["signal"] == 9:
        return None if killed(reading, order, view) else "nobody has killed it"
    return f"why? {view.get('message')}"


def killed(reading: Reading, order: Order, view: dict[str, Any]) -> bool:
    """Whether somebody killed its process; of one without a stamp, whether any was that looked like it."""
    start = reading.stamp("start", view["id"], view["attempt"])
    hit = [kill for kill in reading.history.kills if kill.what in {"job", "runner"}]
    if start is None:
        return any(kill.at >= order.sent for kill in hit)
    return any(kill.pid == start.pid for kill in hit)  # just born, it still looked like its runner


def wrong_exit(reading: Reading, order: Order, view: dict[str, Any], code: int) -> str | None:
    stop = reading.stamp("stop", view["id"], view["attempt"])
    if stop is None:
        return f"it has not stamped its end; exit code {code}"
    if {int(stop.word), order.code(view["attempt"])} != {code}:
        return f"exit code {code}; stamped {stop.word}, asked for {order.code(view['attempt'])}"
    return None


def wrong_lost(reading: Reading, order: Order, view: dict[str, Any]) -> str | None:
    """Only a killed runner loses a job. Where the job came to no stamp, any that was killed in its time will do."""
    job = order.id or 0
    end = next((news.at for news in reading.ends(job) if news.attempt == view["attempt"]), 0.0)
    start = reading.stamp("start", job, int(view["attempt"]))
    if not reading.runner_killed(start, order.sent, end + SLACK):
        return f"its runner was not killed ({start})"
    return None if view["cause"] == "runner-died" else "wrong cause"


def wrong_cancelled(reading: Reading, order: Order, view: dict[str, Any]) -> str | None:
    if view["cause"] == "dependency":
        ends = [reading.history.jobs.get(dep, {}).get("state") for dep in order.after]
        retried = any(reading.asked(dep, "retry") for dep in order.after)
        return None if retried or any(end != "completed" for end in ends) else f"it waited for {ends}"
    return None if reading.asked(order.id or 0, "cancel") else "nobody has asked for that"


CHECKS: dict[str, Callable[[Reading, Order, dict[str, Any]], str | None]] = {
    "completed": wrong_completed,
    "failed": wrong_failed,
    "lost": wrong_lost,
    "cancelled": wrong_cancelled,
}


def attempts_were_asked_for(reading: Reading) -> Iterator[str]:
    for job, order in reading.acknowledged.items():
        attempt = reading.history.jobs.get(job, {}).get("attempt", 1)
        most = 1 + order.retries + sum(ask.tries for ask in reading.asked(job, "retry"))
        if attempt > most:
            yield f"job {job} had {attempt} attempts, at most {most} were asked for"


def nothing_overlaps(reading: Reading) -> Iterator[str]:
    """No two attempts of a job at a time, no two jobs on a GPU: by the jobs' locks, and by their stamps."""
    for stamp in reading.history.stamps:
        if stamp.what == "overlap":
            yield f"job {stamp.job}, attempt {stamp.attempt} found {stamp.word} locked at {stamp.at:.3f}"
    places: dict[str, list[Stamp]] = {}
    for stamp in reading.history.stamps:
        for place in (f"job {stamp.job}", *stamp.gpus):
            places.setdefault(place, []).append(stamp)
    for place, stamps in places.items():
        for start, stop in spans(reading, stamps):
            for other in stamps:
                if other.what == "start" and start.at < other.at < stop.at:
                    yield f"{place}: job {other.job} started while job {start.job} ran"


def spans(reading: Reading, stamps: list[Stamp]) -> Iterator[tuple[Stamp, Stamp]]:
    for start in stamps:
        if start.what == "start":
            stop = reading.stamp("stop", start.job, start.attempt)
            if stop is not None:
                yield start, stop


def gpus_are_true(reading: Reading) -> Iterator[str]:
    """A job ran on as many GPUs as it asked for, and on those that the daemon names."""
    for job, order in reading.acknowledged.items():
        view = reading.history.jobs.get(job)
        start = reading.stamp("start", job, view["attempt"]) if view is not None else None
        if view is None or start is None:
            continue
        if len(start.gpus) != order.gpus:
            yield f"job {job} asked for {order.gpus} GPUs and ran on {start.gpus}"
        if view["state"] in ENDED and tuple(view["gpu_ids"]) != start.gpus:
            yield f"job {job} ran on {start.gpus}, the daemon says {view['gpu_ids']}"


def first_come_first_served(reading: Reading) -> Iterator[str]:
    """Among those that nobody touched, by priority; GPU jobs and those without one take nothing from each other.

    By the daemon's numbered events over all GPUs, and by the stamps on each GPU. A later one that a daemon found at
    its start may have been begun by the one before, along with an earlier one that then came to nothing.
    """
    lines: dict[tuple[int, bool], list[tuple[int, int]]] = {}
    gpus: dict[tuple[int, str], list[tuple[float, int]]] = {}
    for job, order in reading.acknowledged.items():
        news, start = reading.first("pending", job), reading.stamp("start", job, 1)
        if order.alone and news is not None:
            lines.setdefault((order.priority, order.gpus > 0), []).append((news.seq, job))
        if order.alone and news is not None and start is not None:
            for gpu in start.gpus:
                gpus.setdefault((order.priority, gpu), []).append((start.at, job))
    for _, starts in sorted(lines.items()):
        yield from passed(reading, [job for _, job in sorted(starts)], "in the line")
    for (_, gpu), stamped in sorted(gpus.items()):
        yield from passed(reading, [job for _, job in sorted(stamped)], f"on {gpu}")


def passed(reading: Reading, jobs: list[int], where: str) -> Iterator[str]:
    """Pairs in the wrong order that no death explains."""
    newest = 0
    for job in jobs:
        if job < newest and not reading.voided(job):
            yield f"job {newest} started before job {job} {where}"
        pending = reading.first("pending", job)
        if pending is not None and not reading.found_at_start(pending):
            newest = max(newest, job)


def cancels_stick(reading: Reading) -> Iterator[str]:
    """Acknowledged: a waiting job never starts, a started one ends cancelled (or lost, with its runner)."""
    for ask in acknowledged(reading, "cancel"):
        later = [other for other in reading.asked(ask.job, "retry") if other.sent > ask.sent]
        if later or ask.answered is None:
            continue
        state = reading.history.jobs.get(ask.job, {}).get("state")
        if state not in ({"cancelled"} if ask.state == "cancelled" else {"cancelled", "lost"}):
            yield f"job {ask.job} is {state} although its cancel was acknowledged ({ask.state})"
        if ask.state == "cancelled":
            yield from started_between(reading, ask, float("inf"), "cancelled")


def holds_stick(reading: Reading) -> Iterator[str]:
    for ask in acknowledged(reading, "hold"):
        ends = [other.sent for other in reading.asked(ask.job, "release", "retry") if other.sent > ask.sent]
        yield from started_between(reading, ask, min(ends, default=float("inf")), "held")
    for order in reading.history.orders:
        if order.held and order.answered is not None and order.id is not None:
            submitted = Submitted(order.id, order.sent, order.answered)
            ends = [other.sent for other in reading.asked(order.id, "release", "retry")]
            yield from started_between(reading, submitted, min(ends, default=float("inf")), "submitted as held")


class Submitted:
    """A job that was held from the beginning, as if somebody had asked for that."""

    def __init__(self, job: int, sent: float, answered: float) -> None:
        self.job, self.sent, self.answered = job, sent, answered


def started_between(reading: Reading, ask: Ask | Submitted, until: float, what: str) -> Iterator[str]:
    for start in reading.starts(ask.job):
        if ask.answered is not None and ask.answered < start.at < until:
            yield f"job {ask.job}, attempt {start.attempt} started {start.at - ask.answered:.3f} s after it was {what}"


def edits_stick(reading: Reading) -> Iterator[str]:
    """What starts after an acknowledged edit is that edition, or one that was asked for later; the last one stands."""
    for job, view in reading.history.jobs.items():
        for op, shown in (("edit", edition_of(view["command"])), ("prioritise", view["priority"])):
            asked = reading.asked(job, op)
            wanted = (asked[-1].edition if op == "edit" else asked[-1].to) if asked and asked[-1].ok else shown
            if shown != wanted:
                yield f"job {job}: {op} of {wanted} was acknowledged, it has {shown}"
    for ask in acknowledged(reading, "edit"):
        for start in reading.starts(ask.job):
            if ask.answered is not None and start.at > ask.answered and start.edition < ask.edition:
                yield f"job {ask.job} ran as edition {start.edition}, {ask.edition} was acknowledged before"


def moves_stick(reading: Reading) -> Iterator[str]:
    """Each acknowledged move is told of; and what is moved to the front starts before those that waited."""
    for job in reading.asks:
        moves = [ask for ask in acknowledged(reading, "move") if ask.job == job]
        told = [news for news in reading.news.get(job, []) if news.type == "moved"]
        if len(told) < len(moves):
            yield f"job {job}: {len(moves)} moves were acknowledged, {len(told)} are told of"
        if moves and [ask for ask in reading.asks[job] if ask.op != "cancel"][-1] is moves[-1] and told:
            yield from overtaken(reading, moves[-1], told[-1].seq)


def overtaken(reading: Reading, move: Ask, seq: int) -> Iterator[str]:
    """Jobs that nobody touched, of the same sort, that waited when `move` took a job to the front and went first."""
    order, pending = reading.acknowledged[move.job], reading.first("pending", move.job)
    if move.to != "front" or order.after or pending is None or pending.seq < seq:
        return
    for job, other in reading.acknowledged.items():
        went = reading.first("pending", job)
        waited = other.alone and other.answered is not None and other.answered < move.sent
        alike = waited and (other.gpus > 0) == (order.gpus > 0)
        if alike and went is not None and seq < went.seq < pending.seq and not reading.found_at_start(went):
            yield f"job {job} started before job {move.job}, which had been moved to the front"


def acknowledged(reading: Reading, op: str) -> list[Ask]:
    return [ask for ask in reading.history.asks if ask.op == op and ask.ok]


def nobody_is_left(reading: Reading) -> Iterator[str]:
    yield from (f"lives on: {process}" for process in reading.history.left)


def nothing_odd_was_seen(reading: Reading) -> Iterator[str]:
    yield from reading.history.faults


INVARIANTS: tuple[Callable[[Reading], Iterator[str]], ...] = (
    nothing_odd_was_seen,
    nothing_is_lost,
    a_key_runs_once,
    an_attempt_runs_once,
    a_job_ends_once,
    states_follow_the_table,
    events_have_no_hole,
    codes_are_true,
    attempts_were_asked_for,
    nothing_overlaps,
    gpus_are_true,
    first_come_first_served,
    cancels_stick,
    holds_stick,
    edits_stick,
    moves_stick,
    nobody_is_left,
)


def violations(history: History) -> list[str]:
    reading = Reading(history)
    return [f"{plain(check.__name__)}: {wrong}" for check in INVARIANTS for wrong in check(reading)]


def plain(name: str) -> str:
    return re.sub("_", " ", name)
