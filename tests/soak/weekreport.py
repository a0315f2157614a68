"""One screen about a weekend, and the story of each job with which something is wrong."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from soak.history import Reading
from soak.report import MOST, at, counted, ended_as

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soak.weekrules import Weekend

TOLD = 8
"""Jobs whose stories are told."""


def report(weekend: Weekend, seed: int, seconds: float, wrong: list[str]) -> str:
    history = weekend.history
    starts = sorted(life.served - life.spawned for life in history.lives if life.served is not None)
    attempts = [attempt for found in weekend.attempts.values() for attempt in found]
    told = Counter(event["type"] for event in weekend.raw)
    lines = [
        f"weekend, seed {seed}: {len(history.orders)} jobs, {len(attempts)} attempts in {seconds:.0f} s",
        f"blows      {counted(kill.kind for kill in history.kills if kill.kind)}",
        f"daemons    {len(history.lives)} lives; first answer in {at(starts, 0.5):.2f} s, at most {at(starts, 1):.2f}",
        f"jobs       {counted(ended_as(job) for job in history.jobs.values())}",
        f"attempts   {counted(ended_as(attempt) for attempt in attempts if attempt['state'])}",
        f"stamps     {counted(stamp.what for stamp in history.stamps)}",
        f"events     {len(history.seqs)}: {counted(told.elements())}",
        f"line       at most {weekend.watch.longest} waited; looked at {weekend.watch.looks // 5} times",
        f"waited for {counted(weekend.watch.reasons.elements())}",
        f"guard      paused the queue {len(weekend.warden.guarded)} times",
        f"records    {len(weekend.listed)} kept of {len(history.jobs)}",
        f"by shell   {counted(f'{op} ({code})' for op, code in weekend.shell.ran)}",
        "verbs      acknowledged/asked, by the state that the job was in",
        *verbs(weekend),
        f"violations {counted(each.partition(':')[0] for each in wrong) or 'none'}",
        *(f"  {each}" for each in wrong[:MOST]),
        *stories(weekend, wrong),
    ]
    return "\n".join(lines)


def verbs(weekend: Weekend) -> Iterator[str]:
    asked = Counter((ask.op, ask.was) for ask in weekend.history.asks)
    done = Counter((ask.op, ask.was) for ask in weekend.history.asks if ask.ok)
    for op in sorted({op for op, _ in asked}):
        states = [(was, count) for (verb, was), count in asked.most_common() if verb == op]
        yield f"  {op:9} " + ", ".join(f"{was or 'all'} {done[op, was]}/{count}" for was, count in states)
    fields = Counter(name for ask in weekend.history.asks if ask.op == "edit" and ask.ok for name in ask.fields["set"])
    yield f"  edited    {counted(fields.elements())}"


def stories(weekend: Weekend, wrong: list[str]) -> Iterator[str]:
    jobs = dict.fromkeys(int(job) for each in wrong for job in re.findall(r"\bjob (\d+)", each))
    reading = Reading(weekend.history)
    for job in [*jobs][:TOLD]:
        order = reading.acknowledged.get(job)
        yield f"-- job {job}: {order and {**order.spec, 'env': '...'}}"
        said = [
            (news.at, f"event {news.seq}: {news.type} {news.state} {news.attempt}")
            for news in reading.news.get(job, [])
        ]
        said += [(s.at, f"stamp: {s.what} {s.attempt} pid {s.pid} runner {s.runner} {s.word}")
                 for s in reading.stamps.get(job, []) if s.what != "tick"]  # fmt: skip
        for ask in reading.asks.get(job, []):
            took = f"{ask.answered - ask.sent:.2f} s" if ask.answered else "unanswered"
            said.append((ask.sent, f"verb: {ask.op} {ask.fields} -> {ask.ok}, {ask.state} ({took}, {ask.tries} tries)"))
        near = [kill for kill in weekend.history.kills if said and min(said)[0] - 1 < kill.at < max(said)[0] + 5]
        said += [(kill.at, f"kill: {kill.what} {kill.pid} ({kill.kind})") for kill in near]
        said += [(life.spawned, f"daemon {life.pid} begins") for life in weekend.history.lives
                 if said and min(said)[0] < life.spawned < max(said)[0]]  # fmt: skip
        yield from (f"   {moment:.3f} {what}" for moment, what in sorted(said))
        yield from (f"   attempt {attempt}" for attempt in weekend.attempts.get(job, []))
