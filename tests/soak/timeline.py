"""What a job's fields may have been at a moment, by what was asked and when it was answered.

An answered change is done, from its answer on; one that is under way, or whose first try may have been done, may be.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from soak.history import ENDED, Reading

if TYPE_CHECKING:
    from soak.history import Ask, History, Order

FOREVER = float("inf")
DEFAULTS: dict[str, Any] = {
    "gpus": 1,
    "after": [],
    "after_any": [],
    "after_failed": [],
    "after_group": [],
    "keep": False,
    "retries": {},
    "retry_backoff": 1.0,
    "retry_place": "front",
    "resume_args": [],
    "stall_action": "warn",
    "hold": False,
    "priority": "normal",
    "tags": {},
    "env_extra": {},
}


class Timeline(Reading):
    """A Reading in which fields change."""

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self._changes = defaultdict[tuple[int, str], list["Ask"]](list)
        for ask in history.asks:
            if ask.op in {"edit", "retry"} and ask.may_have:
                for name in ask.fields.get("set", {}):
                    self._changes[ask.job, name].append(ask)

    def values(self, order: Order, name: str, at: float) -> list[Any]:
        """All that the field may have been then; one, where nobody was changing it."""
        base = order.spec.get(name, DEFAULTS.get(name))
        changes = [ask for ask in self._changes[order.id or 0, name] if ask.sent <= at]
        sure = [ask for ask in changes if ask.ok and (ask.answered or FOREVER) <= at]
        last = max(sure, key=lambda ask: ask.answered or 0.0, default=None)
        since = last.sent if last is not None else 0.0
        others = [ask for ask in changes if ask is not last and (ask.answered or FOREVER) >= since]
        told = [ask.fields["set"][name] for ask in others]
        return [*told, last.fields["set"][name] if last is not None else base]

    def only(self, order: Order, name: str, at: float) -> tuple[Any] | None:
        """In a tuple, where it is certain."""
        values = self.values(order, name, at)
        return (values[0],) if all(value == values[0] for value in values) else None

    def ever(self, order: Order, name: str) -> list[Any]:
        base = order.spec.get(name, DEFAULTS.get(name))
        return [base, *(ask.fields["set"][name] for ask in self._changes[order.id or 0, name])]

    def maybe(self, job: int, *ops: str, until: float = FOREVER) -> list[Ask]:
        """Verbs that may have been done to it by then."""
        return [ask for ask in self.asked(job, *ops) if ask.may_have and ask.sent <= until]

    def ended_by(self, job: int, at: float, *states: str) -> bool:
        """Whether it had ended in one of these states by then, ever."""
        return any(news.state in (states or ENDED) and news.at <= at for news in self.ends(job))

    def asleep(self, job: int, since: float, until: float) -> list[tuple[float, float]]:
        """When it was certainly suspended: answered, and nobody had asked for anything that lets it go on."""
        found: list[tuple[float, float]] = []
        for ask in self.asked(job, "suspend"):
            if not ask.ok or ask.answered is None or not since <= ask.sent <= until:
                continue
            ends = [
                o.sent for o in self.asked(job, "continue", "cancel", "preempt") if (o.answered or FOREVER) > ask.sent
            ]
            end = min([*ends, until])
            if end > ask.answered:
                found.append((ask.answered, end))
        return merged(found)


def merged(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
