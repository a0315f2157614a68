"""People who use one queue over a weekend, as threads: sweeps, chains, second thoughts, and each other's jobs.

What they ask for and what they are told goes into the history. A verb on many jobs is written down once for each.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from soak.history import ENDED, Ask, Order
from soak.protocol import GivenUpError, RefusedError
from soak.wishes import EDITS, Wishes

if TYPE_CHECKING:
    from pathlib import Path

    from soak.history import History
    from soak.protocol import Line
    from soak.shell import Shell

RECENT = 150
"""The newest jobs, of which people speak."""
PROBED = 0.15
"""So often somebody tries a verb on a job in whatever state."""
SUITS: dict[str, tuple[str, ...]] = {
    "cancel": ("queued", "pending", "running"),
    "hold": ("queued",),
    "release": ("queued",),
    "move": ("queued",),
    "edit": ("queued",),
    "retry": tuple(ENDED),
    "copy": ("queued", "running", *ENDED),
    "signal": ("running",),
    "suspend": ("running",),
    "continue": ("running",),
    "preempt": ("running",),
    "env": ("queued", "running", *ENDED),
}
"""The states of jobs that a verb is meant for."""
HABITS = {
    "edit": 22,
    "move": 10,
    "suspend": 8,
    "preempt": 8,
    "hold": 6,
    "release": 6,
    "retry": 6,
    "signal": 6,
    "cancel": 3,
    "continue": 4,
    "env": 4,
    "copy": 2,
}
EXPECTED = {"conflict"}
NOTHING_FOUND = 4
"""Exit code of a verb by filters that nothing matches."""
REFUSABLE = {"edit", "retry", "copy", "submit", "move", "env"}
"""What may ask for something that makes no sense, or name a job whose record is gone."""


@dataclass
class Office:
    """What all of them share."""

    line: Line
    history: History
    folder: Path
    shell: Shell
    states: dict[int, str] = field(default_factory=dict[int, str])
    """Of each job, as last told of by an event."""
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    stopping: bool = False
    limits_memory: bool = False
    most_waiting: int = 250
    """Jobs in the queue beyond which nobody adds any."""

    def touchable(self) -> list[Order]:
        """Each job once: copies are orders of their own."""
        recent = self.history.orders[-3 * RECENT :]
        return [order for order in recent if order.id is not None and not order.alone][-RECENT:]

    def waiting(self) -> int:
        return sum(state not in ENDED for state in [*self.states.values()])


class Person(threading.Thread):
    def __init__(self, office: Office, seed: str) -> None:
        super().__init__(name=f"person {seed}", daemon=True)
        self.office, self.dice = office, random.Random(seed)
        self.history = office.history
        self.wishes = Wishes(self.dice, office.folder)

    def run(self) -> None:
        self.wishes.limits_memory = self.office.limits_memory
        try:
            while not self.office.stopping:
                self.step()
                time.sleep(self.dice.uniform(0.0, 0.15))
        except GivenUpError as error:
            self.history.faults.append(f"{self.name} was not answered until the end of time ({error})")
        except Exception as error:  # noqa: BLE001  (nobody leaves in silence)
            self.history.faults.append(f"{self.name} died: {error!r}")

    def step(self) -> None:
        roll = self.dice.random()
        if roll < 0.35 and self.office.waiting() < self.office.most_waiting:
            self.submit_something()
        elif roll < 0.38:
            self.by_shell()
        elif roll < 0.5:
            self.on_many()
        else:
            self.on_one()

    # -- submitting

    def key(self) -> str:
        return f"k{next(self.office.numbers)}"

    def submit_something(self) -> None:
        others = [order.id for order in self.office.touchable() if order.id is not None][-40:]
        kinds = {"rich": 40, "lonely": 15, "sweep": 4, "chain": 5, "hanging": 6, "crashing": 2, "shell": 3}
        kind = self.dice.choices([*kinds], [*kinds.values()])[0]
        if kind == "sweep":
            self.sweep()
        elif kind == "chain":
            self.chain()
        elif kind == "shell":
            self.freeze()
        elif kind == "crashing":
            self.submit([self.wishes.crashing(self.key()) for _ in range(8)])
        elif kind == "rich":
            self.submit([self.wishes.rich(self.key(), others) for _ in range(self.dice.randint(1, 3))])
        else:
            make = self.wishes.lonely if kind == "lonely" else self.wishes.hanging
            self.submit([make(self.key())])

    def sweep(self) -> None:
        """A group with a bound, now and then with a job that waits for all of it."""
        name = f"sweep{next(self.office.numbers)}"
        size = min(self.dice.choice([20, 30, 60, 120, 200]), self.office.most_waiting)
        orders = [self.wishes.order(self.key(), short=True) for _ in range(size)]
        if self.wishes.maybe(0.5):
            last = self.wishes.order(self.key(), short=True)
            last.spec |= {"after_group": [name], "keep": self.wishes.maybe(0.5), "name": f"after {name}"}
        else:
            last = None
        bound = self.dice.choice([2, 3, 5])
        lane = self.dice.choice([None, None, "debug", "long"])
        for order in orders:
            order.spec |= {"group": name, "max_running": bound, "tags": {"set": name}, "lane": lane}
            order.codes = (0,) if self.wishes.maybe(0.9) else order.codes
            order.spec["command"] = self.wishes.command(order, 0, short=True)
        self.submit([*orders, last] if last is not None else orders)

    def chain(self) -> None:
        """Sweeps that wait for each other by their groups."""
        before: str | None = None
        for _ in range(self.dice.randint(2, 4)):
            name = f"link{next(self.office.numbers)}"
            orders = [self.wishes.order(self.key(), short=True) for _ in range(self.dice.randint(1, 4))]
            for order in orders:
                order.spec |= {"group": name, "after_group": [before] if before else [], "keep": self.wishes.maybe(0.3)}
            self.submit(orders)
            before = name

    def submit(self, orders: list[Order]) -> None:
        specs = [order.spec for order in orders]
        for order in orders:
            order.sent = time.monotonic()
        key = orders[0].key
        try:
            answer = self.office.line.call("submit", jobs=specs, key=key)
            if self.wishes.maybe(0.1) and self.office.line.call("submit", jobs=specs, key=key) != answer:
                self.history.faults.append(f"key {key} was answered twice, and not alike")
        except RefusedError as error:
            self.refused("submit", error)
            return
        self.enter(orders, [told["id"] for told in answer["jobs"]])

    def enter(self, orders: list[Order], ids: list[int]) -> None:
        for order, job in zip(orders, ids, strict=True):
            order.id, order.answered = job, time.monotonic()
            self.office.states.setdefault(job, "queued")
        self.history.orders += orders

    def freeze(self) -> None:
        """By the command line, with a frozen copy of a folder and with what the shell has in its environment."""
        order = self.wishes.order(self.key(), short=True)
        order.mode, order.sent = "frozen", time.monotonic()
        order.spec = {"command": [*order.spec["command"][:-1], "plain"], "gpus": 0}
        options = ["--snapshot", "--no-start", "--gpus", "0", "--tag", "set=frozen"]
        answer = self.office.shell.run("submit", *options, "--", *order.spec["command"], cwd=self.office.folder / "b")
        order.doubtful = not isinstance(answer, dict)
        if order.doubtful:
            self.history.orders.append(order)
        else:
            order.spec |= {"cwd": str(self.office.folder / "b"), "tags": {"set": "frozen"}}
            self.enter([order], [answer["id"]])

    # -- changing

    def pick(self, op: str, most: int = 1) -> list[Order]:
        """Jobs that it suits, or now and then any."""
        states, orders = self.office.states, self.office.touchable()
        if not self.wishes.maybe(PROBED):
            orders = [order for order in orders if states.get(order.id or 0) in SUITS[op]]
        return self.dice.sample(orders, min(most, len(orders)))

    def on_one(self) -> None:
        op = self.dice.choices([*HABITS], [*HABITS.values()])[0]
        for order in self.pick(op):
            self.do(op, [order])

    def on_many(self) -> None:
        op = self.dice.choice(["cancel", "hold", "release", "move", "edit", "retry", "signal", "suspend", "continue"])
        if orders := self.pick(op, self.dice.randint(2, 8)):
            self.do(op, orders)

    def do(self, op: str, orders: list[Order]) -> None:
        ids = [order.id or 0 for order in orders]
        if op == "edit":
            self.edit(orders)
        elif op == "retry":
            name = self.dice.choice(["command", "priority", "lane", "cwd", "hold", "time_limit"])
            changes = self.changes(name, orders) if self.wishes.maybe(0.4) and len(orders) == 1 else {}
            self.ask("retry", ids, set=changes)
        elif op == "copy":
            self.copy(orders[0])
        elif op == "env":
            self.look_at_env(orders[0])
        elif op == "move":
            self.move(ids)
        elif op == "cancel":
            self.ask("cancel", ids, force=self.wishes.maybe(0.3))
        elif op == "signal":
            self.ask("signal", ids, signal=self.dice.choice(["USR1", "USR1", "SIGUSR1", 10, "TERM"]))
        elif op == "suspend":
            self.suspend(ids)
        elif op == "preempt":
            self.ask("preempt", ids, hold=self.wishes.maybe(0.4))
        else:
            self.ask(op, ids)

    def suspend(self, ids: list[int]) -> None:
        """Mostly not for long."""
        self.ask("suspend", ids)
        if self.wishes.maybe(0.8):
            time.sleep(self.dice.uniform(0.1, 1.5))
            self.ask("continue", ids)

    def changes(self, name: str, orders: list[Order]) -> dict[str, Any]:
        others = [order.id for order in self.office.touchable() if order.id is not None][-40:]
        return self.wishes.change(name, orders[0], others)

    def edit(self, orders: list[Order]) -> None:
        name = self.dice.choice([*EDITS, "deps", "deps", "hold"])
        if len(orders) > 1:
            name = self.dice.choice(["priority", "tags", "time_limit", "lane", "hold", "grace", "resume_args"])
        self.ask("edit", [order.id or 0 for order in orders], set=self.changes(name, orders))

    def move(self, ids: list[int]) -> None:
        waiting = [job for job, state in [*self.office.states.items()][-RECENT:] if state == "queued"]
        where: list[dict[str, Any]] = [{"to": "front"}, {"to": "back"}, {"position": self.dice.randint(1, 20)}]
        where += [{"before": self.dice.choice(waiting)}] if waiting else []
        self.ask("move", ids, **self.dice.choice(where))

    def copy(self, order: Order) -> None:
        """Its spec is what the daemon says of it when it is new."""
        key, made = self.key(), Order(order.key, order.codes, alone=False, mode=order.mode)
        made.sent = time.monotonic()
        ask = Ask("copy", order.id or 0, made.sent, fields={"key": key}, was=self.office.states.get(order.id or 0, ""))
        self.history.asks.append(ask)
        try:
            answer = self.office.line.call("copy", jobs=[order.id], set={"hold": True}, key=key)
            job = answer["jobs"][0]["id"]
            found = self.office.line.call("status", job=job, env=True)
        except RefusedError as error:
            ask.answered = time.monotonic()
            self.refused("copy", error)
            return
        ask.ok, ask.answered, ask.state = True, time.monotonic(), answer["jobs"][0]["state"]
        made.spec = {name: found["job"][name] for name in [*SPEC, "command"]} | {"hold": ask.state == "queued"}
        made.spec["env"] = found["env"]
        made.spec |= {name: order.spec[name] for name in ("env_extra",) if name in order.spec}
        made.held = made.spec["hold"]
        self.enter([made], [job])

    def look_at_env(self, order: Order) -> None:
        """A question, but written down as a verb: whoever changes it meanwhile may explain the answer."""
        ask = Ask("env", order.id or 0, time.monotonic(), was=self.office.states.get(order.id or 0, ""))
        try:
            shown = self.office.line.call("status", job=order.id, env=True)["env"]
        except RefusedError as error:
            self.refused("env", error, ask.job)
            return
        ask.ok, ask.answered, ask.fields = True, time.monotonic(), {"shown": shown}
        self.history.asks.append(ask)

    # -- asking

    def ask(self, op: str, ids: list[int], **fields: Any) -> list[Ask]:
        """Write down what is asked, ask until it is answered, write down the answers."""
        asks = [Ask(op, job, time.monotonic(), fields=fields, was=self.office.states.get(job, "")) for job in ids]
        self.history.asks += asks
        before = self.office.line.tries()
        try:
            told = self.office.line.call(op, jobs=ids, **fields)["jobs"]
        except RefusedError as error:
            self.refused(op, error)
            told = []
        tries = self.office.line.tries() - before
        for ask in asks:
            ask.answered, ask.tries = time.monotonic(), tries
        for ask, answer in zip(asks, told, strict=False):
            self.heard(ask, answer)
        if fields.get("to") == "front":
            self.in_front(told)
        return asks

    def in_front(self, told: list[dict[str, Any]]) -> None:
        """They stand there in the order given, those who may start."""
        places = [answer["position"] for answer in told if answer["ok"] and answer["position"] is not None]
        if places != [*range(1, len(places) + 1)]:
            self.history.faults.append(f"moved to the front were {told}")

    def heard(self, ask: Ask, answer: dict[str, Any]) -> None:
        ask.ok, ask.state = answer["ok"], answer["state"]
        if not ask.ok and answer["error"]["code"] not in EXPECTED:
            self.refused(ask.op, RefusedError(**answer["error"]), ask.job)

    def refused(self, op: str, error: RefusedError, job: int = 0) -> None:
        gone = error.code == "not-found" and (op in REFUSABLE or self.office.states.get(job) in ENDED)
        senseless = error.code in {"bad-request", "not-found", "conflict"} and op in REFUSABLE
        if not gone and not senseless:
            self.history.faults.append(f"{op} of job {job} was refused: {error}")

    # -- by the command line

    def by_shell(self) -> None:
        """A verb on whatever a name, a tag, a group or a state selects."""
        op = self.dice.choice(["cancel", *3 * ["hold", "release", "release", "retry", "move"]])
        groups = [f"g{self.dice.randint(0, 5)}"]
        groups += [order.spec["group"] for order in self.office.touchable() if order.spec.get("group")][-1:]
        by = self.dice.choice(
            [["--name", "lr-*"], ["--name", "base"], ["--tag", "set=a"], ["--group", self.dice.choice(groups)]]
        )
        by += ["--state", "failed"] if op == "retry" else []
        more = {"move": ["--front"], "cancel": ["--yes"]}.get(op, [])
        sent = time.monotonic()
        answers = self.office.shell.run(op, *by, *more)
        now = time.monotonic()
        if self.office.shell.ran[-1][1] == NOTHING_FOUND:
            return
        if not isinstance(answers, list):  # the daemon has died: it was done to any of them, or not
            doubts = [Ask(op, job, sent, now, tries=2, was="?") for job in self.selected(by)]
            self.history.asks += doubts
            return
        for answer in answers:
            was = self.office.states.get(answer["id"], "")
            ask = Ask(op, answer["id"], sent, now, tries=1, was=was, fields={"by": by[0]})
            self.history.asks.append(ask)
            self.heard(ask, answer)

    def selected(self, by: list[str]) -> set[int]:
        """Jobs that this may have been done to: they have, or have had, what it asks for."""
        field, value = by[0].removeprefix("--").replace("tag", "tags"), by[1]
        wanted: Any = value if field != "tags" else dict([value.split("=")])

        def fits(found: Any) -> bool:
            return wanted.items() <= (found or {}).items() if field == "tags" else fnmatch(found or "", wanted)

        found = {order.id for order in [*self.history.orders] if order.id and fits(order.spec.get(field))}
        asks = [ask for ask in [*self.history.asks] if field in ask.fields.get("set", {})]
        return found | {ask.job for ask in asks if fits(ask.fields["set"][field])}


SPEC = (
    *("cwd", "umask", "gpus", "gpu_memory", "priority", "after", "after_any", "after_failed", "after_group", "keep"),
    *("not_before", "time_limit", "grace", "warn", "retries", "retry_delay", "retry_backoff", "resume_args"),
    *("stall_timeout", "stall_action", "group", "max_running", "lane", "name", "tags", "snapshot"),
)
"""Fields that the rules look at."""
