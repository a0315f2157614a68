"""One screen about a soak."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from soak.history import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from soak.history import History

MOST = 30
"""Violations that are shown."""


def report(history: History, seed: int, seconds: float, wrong: list[str]) -> str:
    reading = Reading(history)
    blows = [kill.kind for kill in history.kills if kill.kind]
    starts = sorted(life.served - life.spawned for life in history.lives if life.served is not None)
    lines = [
        f"kill soak, seed {seed}: {len(blows)} kills, {len(history.orders)} jobs in {seconds:.0f} s",
        f"kills      {counted(blows)}",
        f"processes  {counted(kill.what for kill in history.kills)}",
        f"daemons    {len(history.lives)} lives; first answer in {at(starts, 0.5):.2f} s, at most {at(starts, 1):.2f}",
        f"jobs       {counted(ended_as(job) for job in history.jobs.values())}",
        f"changes    {counted(ask.op for ask in history.asks if ask.ok)} (acknowledged)",
        f"stamps     {counted(stamp.what for stamp in history.stamps)}",
        f"untouched  {sum(order.alone for order in history.orders)} jobs were watched for first come, first served",
        f"voided     {sum(reading.voided(job) for job in reading.news)} jobs went back into the line unstarted",
        f"events     {len(history.seqs)}",
        f"violations {len(wrong) or 'none'}",
        *(f"  {each}" for each in wrong[:MOST]),
    ]
    return "\n".join(lines)


def ended_as(job: dict[str, str]) -> str:
    return f"{job['state']}" + (f" ({job['cause']})" if job["cause"] else "")


def counted(words: Iterable[str]) -> str:
    found = Counter(words)
    return ", ".join(f"{word} {count}" for word, count in sorted(found.items(), key=lambda pair: -pair[1])) or "none"


def at(numbers: list[float], part: float) -> float:
    return numbers[min(len(numbers) - 1, int(part * len(numbers)))] if numbers else 0.0
