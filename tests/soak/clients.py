"""Clients that submit and change jobs all the time, ask again after any failure, and keep a book of the answers."""

from __future__ import annotations

import itertools
import random
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soak.history import Ask, Order
from soak.protocol import GivenUpError, RefusedError

if TYPE_CHECKING:
    from soak.history import History
    from soak.protocol import Line

PROGRAM = str(Path(__file__).with_name("job.py"))
GPUS = 3
PRIORITIES = {"low": -100, "normal": 0, "high": 100}
MOST_WAITING = 40
"""Jobs in the queue beyond which nobody submits, so that it cannot stall."""
MOST_HELD = 3
"""Jobs that a client keeps held."""
RECENT = 12
"""Of a client's newest jobs one is changed; older ones have ended."""
LOOK = 0.2
"""Seconds between looks at the length of the queue."""


class Book:
    """What all clients share: the history, numbers for keys, how many jobs may be submitted by now."""

    def __init__(self, line: Line, history: History, folder: Path, wanted: int) -> None:
        self.line, self.history, self.folder, self.wanted = line, history, folder, wanted
        self.part = 0.0
        """Of the kills, done by now; neither jobs nor kills shall run out first."""
        self.numbers = itertools.count()
        self.stopping = False
        self.waiting = 0
        self._looked = 0.0

    def submitted(self) -> int:
        return len(self.history.orders)

    def full(self) -> bool:
        return self.stopping or self.submitted() >= self.wanted

    def may_submit(self) -> bool:
        ahead = self.submitted() - self.wanted * self.part
        return not self.full() and ahead < MOST_WAITING + 0.02 * self.wanted and self._short()

    def _short(self) -> bool:
        if time.monotonic() > self._looked + LOOK:
            counts = self.line.call("queue", limit=1)["counts"]
            self.waiting = sum(counts.get(state, 0) for state in ("queued", "pending", "running"))
            self._looked = time.monotonic()
        return self.waiting < MOST_WAITING


class Client(threading.Thread):
    """One client with its own jobs; ends when all have been submitted, its held ones released."""

    def __init__(self, book: Book, seed: str) -> None:
        super().__init__(name=f"client {seed}", daemon=True)
        self.book, self.dice = book, random.Random(seed)
        self.mine: list[Order] = []
        self.held: list[Order] = []

    def run(self) -> None:
        try:
            while not self.book.full():
                self.step()
                time.sleep(self.dice.uniform(0.0, 0.08))
            self.release_all()
        except GivenUpError as error:
            self.book.history.faults.append(f"{self.name} was not answered until the end of time ({error})")
        except Exception as error:  # noqa: BLE001  (a client must not end in silence)
            self.book.history.faults.append(f"{self.name} died: {error!r}")

    def step(self) -> None:
        if self.dice.random() < 0.6 and self.book.may_submit():
            self.submit(1 if self.dice.random() < 0.8 else self.dice.randint(2, 8))
        elif changeable := [order for order in self.mine[-RECENT:] if not order.alone]:
            self.change(self.dice.choice(changeable))

    def release_all(self) -> None:
        for order in [*self.held]:
            self.release(order)

    # -- submitting

    def submit(self, count: int) -> None:
        self.acknowledge(*self.prepare(count))

    def prepare(self, count: int) -> tuple[str, list[Order], list[dict[str, Any]]]:
        """A key, and jobs to submit with it."""
        key = f"k{next(self.book.numbers)}"
        orders = [self.order(f"{key}-{at}") for at in range(count)]
        specs = [self.spec(order) for order in orders]
        for order in orders:
            order.sent = time.monotonic()
        self.book.history.orders.extend(orders)
        return key, orders, specs

    def acknowledge(self, key: str, orders: list[Order], specs: list[dict[str, Any]]) -> None:
        """Ask under this key until there is an answer; now and then once more."""
        answer = self.book.line.call("submit", jobs=specs, key=key)
        for order, told in zip(orders, answer["jobs"], strict=True):
            order.id, order.answered = told["id"], time.monotonic()
        self.mine += orders
        self.held += [order for order in orders if order.held]
        if self.dice.random() < 0.1:
            again = self.book.line.call("submit", jobs=specs, key=key)
            if again != answer:
                self.book.history.faults.append(f"key {key} was answered {answer}, then {again}")

    def order(self, key: str) -> Order:
        dice = self.dice
        order = Order(key, (self.code(), self.code()))
        if dice.random() < 0.55:
            order.gpus = dice.choice([1] * 6 + [0])
            return order
        order.alone = False
        order.gpus = dice.choice([0, 1, 1, 1, 1, 2, GPUS])
        order.priority = PRIORITIES[dice.choice([*PRIORITIES])]
        order.retries = dice.choice([0, 0, 0, 1])
        order.held = dice.random() < 0.15 and len(self.held) < MOST_HELD
        others = [other.id for other in self.mine[-RECENT:] if other.id is not None]
        if others and dice.random() < 0.15:
            order.after = (dice.choice(others),)
        return order

    def code(self) -> int:
        """Half of them complete; the others each say who they are."""
        return 0 if self.dice.random() < 0.5 else self.dice.randint(1, 125)

    def spec(self, order: Order) -> dict[str, Any]:
        spec: dict[str, Any] = {"command": self.command(order, 0), "cwd": "/", "env": {"LANG": "C"}}
        spec |= {"gpus": order.gpus, "priority": order.priority, "grace": self.dice.choice([0.2, 1.0])}
        if order.retries:
            spec["retries"] = {"exit": order.retries}
        if order.after:
            spec["after"] = [*order.after]
        return spec | ({"hold": True} if order.held else {})

    def command(self, order: Order, edition: int) -> list[str]:
        mode = self.dice.choice(["plain"] * 8 + ["deaf", "brood", "away"])
        long = self.dice.random() < 0.07
        seconds = self.dice.uniform(0.3, 1.5) if long else self.dice.choice([0.0, 0.0, 0.01, 0.03, 0.1])
        codes = ",".join(str(code) for code in order.codes)
        folder = str(self.book.folder)
        return [sys.executable, "-I", "-S", PROGRAM, folder, order.key, str(edition), codes, f"{seconds:.2f}", mode]

    # -- changing

    def change(self, order: Order) -> None:
        if order in self.held:
            self.dice.choice([self.edit, self.move, self.release])(order)
            return
        some = [self.cancel, self.hold, self.move, self.move, self.edit, self.prioritise, self.retry]
        self.dice.choice(some)(order)

    def cancel(self, order: Order) -> None:
        self.verb("cancel", order, force=self.dice.random() < 0.3)

    def hold(self, order: Order) -> None:
        if len(self.held) < MOST_HELD and self.verb("hold", order).ok:
            self.held.append(order)

    def release(self, order: Order) -> None:
        self.verb("release", order)
        self.held.remove(order)

    def retry(self, order: Order) -> None:
        if self.dice.random() < 0.4:
            self.verb("retry", order)

    def move(self, order: Order) -> None:
        where: dict[str, Any] = self.dice.choice([{"to": "front"}, {"to": "front"}, {"to": "back"}, {"position": 3}])
        ask = Ask("move", order.id or 0, time.monotonic(), to=str(where.get("to", "")))
        self.ask(ask, "move", job=order.id, **where)

    def edit(self, order: Order) -> None:
        order.edition += 1
        ask = Ask("edit", order.id or 0, time.monotonic(), edition=order.edition)
        self.ask(ask, "edit", job=order.id, set={"command": self.command(order, order.edition)})

    def prioritise(self, order: Order) -> None:
        to = self.dice.choice([*PRIORITIES])
        self.ask(Ask("prioritise", order.id or 0, time.monotonic(), to=to), "edit", job=order.id, set={"priority": to})

    def verb(self, op: str, order: Order, **fields: object) -> Ask:
        return self.ask(Ask(op, order.id or 0, time.monotonic()), op, jobs=[order.id], **fields)

    def ask(self, ask: Ask, op: str, **fields: Any) -> Ask:
        """Write down what is asked, ask until it is answered, write down the answer."""
        self.book.history.asks.append(ask)
        before = self.book.line.tries()
        try:
            result = self.book.line.call(op, **fields)
        except RefusedError as error:
            if error.code != "conflict":
                self.book.history.faults.append(f"{op} of job {ask.job} was refused: {error}")
            return ask
        finally:
            ask.tries = self.book.line.tries() - before
        told: dict[str, Any] = {"ok": True, "state": result["job"]["state"]} if "job" in result else result["jobs"][0]
        if not told["ok"] and told["error"]["code"] != "conflict":
            self.book.history.faults.append(f"{op} of job {ask.job} was refused: {told['error']}")
        ask.ok, ask.state, ask.answered = told["ok"], told["state"], time.monotonic()
        return ask
