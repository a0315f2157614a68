"""What people want over a weekend: JobSpecs of all sorts, and changes of every field of one that waits."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soak.history import Order

if TYPE_CHECKING:
    import random

PROGRAM = str(Path(__file__).with_name("job.py"))
GPUS = 4
MEMORY = 24 * 2**30
SHARE = 10 * 2**30
"""Of a GPU that two such jobs share."""
LANES = ("debug", "long")
FOLDERS = ("a", "b")
SECRET = "weekend-secret"  # noqa: S105
ENV = {"LANG": "C", "SOAK_WEEKEND": "1", "WEEKEND_TOKEN": SECRET}
CAUSES = ("exit", "signal", "time-limit", "stalled", "lost", "runner-died", "start-failed")
MODES = ("plain", "plain", "plain", "ticks", "ticks", "saves", "deaf", "brood", "away")


class Wishes:
    """One person's; `folder` is the soak's."""

    def __init__(self, dice: random.Random, folder: Path) -> None:
        self.dice, self.folder = dice, folder
        self.limits_memory = False
        """Whether the machine can."""

    def maybe(self, part: float) -> bool:
        return self.dice.random() < part

    def order(self, key: str, *, short: bool = False) -> Order:
        """A job; `short`: one of a sweep."""
        order = Order(key, (self.code(), self.code(), 0), alone=False)
        order.mode = "plain" if short and self.maybe(0.8) else self.dice.choice(MODES)
        order.spec = {"command": self.command(order, 0, short=short), "cwd": str(self.folder / "a"), "env": ENV}
        order.spec |= {"grace": self.dice.choice([0.2, 0.5, 1.0]), "time_limit": self.dice.choice([2.0, 5.0, 8.0])}
        order.spec |= {"gpus": self.dice.choice([0, 1, 1, 1, 1, 2, GPUS] if not short else [0, 1, 1])}
        order.gpus = order.spec["gpus"]
        return order

    def lonely(self, key: str) -> Order:
        """One that nobody touches: first come, first served."""
        order = Order(key, (self.code(),), gpus=self.dice.choice([0, 1, 1, 1]))
        order.spec = {"command": self.command(order, 0, short=True), "cwd": "/", "env": ENV, "gpus": order.gpus}
        return order

    def rich(self, key: str, others: list[int]) -> Order:
        """With some of all that there is."""
        order = self.order(key)
        names = [*EDITS, "hold", "deps"]
        for name in self.dice.sample(names, self.dice.randint(1, 5)):
            if name not in {"command", "cwd"}:
                order.spec |= self.change(name, order, others)
        return sound(order)

    def hanging(self, key: str) -> Order:
        """It does nothing until the watchdog ends it, or its time."""
        order = self.order(key)
        order.mode = "plain"
        order.spec["command"] = self._argv(order, 0, 60.0)
        order.spec |= {"gpus": self.dice.choice([0, 1]), "grace": 0.2}
        if self.maybe(0.6):
            order.spec |= {"stall_timeout": self.dice.choice([0.5, 1.0]), "stall_action": "stop"}
        order.gpus = order.spec["gpus"]
        return order

    def crashing(self, key: str) -> Order:
        """It fails at once."""
        order = self.order(key, short=True)
        order.codes = (3,)
        order.spec["command"] = self._argv(order, 0, 0.0)
        return order

    def code(self) -> int:
        return 0 if self.maybe(0.65) else self.dice.randint(1, 125)

    def command(self, order: Order, edition: int, *, short: bool = False) -> list[str]:
        few = [0.0, 0.02, 0.05, 0.1] if short else [0.0, 0.1, 0.3, 0.6, 1.2, 2.5]
        return self._argv(order, edition, self.dice.choice(few))

    def _argv(self, order: Order, edition: int, seconds: float) -> list[str]:
        codes = ",".join(str(code) for code in order.codes)
        argv = [sys.executable, "-I", "-S", PROGRAM, str(self.folder), order.key, str(edition), codes]
        return [*argv, f"{seconds:.2f}", order.mode]

    # -- one field, or those that belong together

    def change(self, name: str, order: Order, others: list[int]) -> dict[str, Any]:
        dice = self.dice
        if name == "deps":
            return self.dependencies(others)
        if name == "command":
            order.edition += 1
            return {"command": self.command(order, order.edition)}
        if name == "cwd":
            return {"cwd": str(self.folder / dice.choice([*FOLDERS, *FOLDERS, *FOLDERS, "missing"]))}
        if name == "hold":
            return {"hold": self.maybe(0.6)}
        if name == "group":
            return {"group": f"g{dice.randint(0, 5)}", "max_running": dice.choice([1, 2, 3])}
        if name == "sharing":
            if self.maybe(0.7):
                return {"gpus": 1, "gpu_memory": SHARE, "env_extra": {"SOAK_SHARE": "1"}}
            return {"gpu_memory": None, "env_extra": {}}
        if name == "retries":
            causes = dice.sample(CAUSES[:5], 2)
            return {
                "retries": {cause: dice.randint(1, 2) for cause in causes} | {"exit": 1},
                "retry_delay": dice.choice([None, 0.1, 0.5]),
                "retry_backoff": dice.choice([1.0, 2.0]),
                "retry_place": dice.choice(["front", "back"]),
            }
        if name == "not_before":
            return {"not_before": dice.choice([None, time.time() + dice.uniform(-1, 4)])}
        if name == "stall":
            return {"stall_timeout": dice.choice([0.7, 5.0]), "stall_action": dice.choice(["warn", "stop"])}
        if name == "memory_limit":
            return {"memory_limit": 2**30 if self.limits_memory else None}
        return {name: dice.choice(EDITS[name])}

    def dependencies(self, others: list[int]) -> dict[str, Any]:
        dice = self.dice
        made: dict[str, Any] = {"after": [], "after_any": [], "after_failed": [], "keep": self.maybe(0.3)}
        for name in dice.sample(["after", "after", "after_any", "after_failed"], 2):
            if others and self.maybe(0.6):
                made[name] = sorted({dice.choice(others) for _ in range(dice.randint(1, 3))})
        return made


EDITS: dict[str, list[Any]] = {
    "name": ["lr-1", "lr-2", "base"],
    "command": [],
    "cwd": [],
    "tags": [{"set": "a"}, {"set": "b"}, {"set": "a", "n": "1"}],
    "priority": ["low", "normal", "high", 7],
    "group": [],
    "sharing": [],
    "retries": [],
    "not_before": [],
    "stall": [],
    "memory_limit": [],
    "time_limit": [1.0, 3.0, 6.0],
    "grace": [0.2, 0.4],
    "warn": [None, 0.1, 0.3],
    "resume_args": [["--again"], ["--resume", "auto"], []],
    "lane": [*LANES, None],
    "umask": [None, 0o77, 0o27],
    "env": [ENV, ENV | {"WEEKEND_N": "1"}, ENV | {"WEEKEND_N": "2"}],
    "gpu_from": [[0, 1], [2, 3], [0, 1, 2, 3], []],
    "gpu_name": ["fake", None],
    "gpu_min_memory": [2**30, None],
    "max_running": [1, 2, 4],
    "gpus": [0, 1, 2],
}
"""Fields that an edit changes, and values; the empty ones are made up by `change`."""


def sound(order: Order) -> Order:
    """What would be refused as a whole is taken out again."""
    spec = order.spec
    if not spec["gpus"] or len(spec.get("gpu_from") or []) < spec["gpus"]:
        spec.pop("gpu_from", None)
    if not spec["gpus"]:
        for name in ("gpu_memory", "gpu_name", "gpu_min_memory", "env_extra"):
            spec.pop(name, None)
    if spec.get("max_running") and not spec.get("group"):
        del spec["max_running"]
    if spec.get("memory_limit", 0) is None:
        del spec["memory_limit"]
    order.gpus = spec["gpus"]
    order.held = bool(spec.get("hold"))
    return order
