"""The queue behind the fake gateway: scripted jobs, what is asked of them, and the streams that hear of it.

It has no daemon: what is asked of it is done to a dictionary, at once. Of trainq it has the names of columns alone.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from typing import TYPE_CHECKING, Any

from page.fakejobs import GIB, JsonMap, ended, gpu, job, running

from trainqueue.expectations import COLUMNS

if TYPE_CHECKING:
    import queue

ENDED = {"completed", "failed", "cancelled", "lost"}


class Gate:
    """The jobs, the line, and the streams that hear of them. One lock: the server has a thread for each request."""

    def __init__(self, waiting: int = 5, cards: int = 4) -> None:
        self.lock = threading.Lock()
        self.streams: list[queue.Queue[JsonMap | None]] = []
        self.seq, self.epoch, self.started = 1, "fake-1", time.time()
        self.head: JsonMap = {"paused": False, "draining": False, "pause_reason": None, "paused_since": None}
        self.asked: list[tuple[str, JsonMap]] = []
        self.keys: list[str | None] = []
        """The Idempotency-Key of each request."""
        self.refuse: dict[str, tuple[int, str, str]] = {}
        """Path: (status, code, message) of what is to be refused."""
        self.jobs: dict[int, JsonMap] = {}
        self.line: list[int] = []
        self.cards = [gpu(index) for index in range(cards)]
        self.connected = True
        self.add(*self.past(), *(running(10 + at, at, 0.2 + 0.17 * at) for at in range(min(cards, 4))))
        self.add(*(job(20 + at) for at in range(waiting)))
        self.ids = itertools.count(max(self.jobs) + 1)

    @staticmethod
    def past() -> list[JsonMap]:
        oom = "CUDA out of memory: it asked for 2.5 GiB and 1.1 GiB were free; it logged 'torch.OutOfMemoryError' last"
        return [
            ended(1, "completed", 7000),
            ended(2, "failed", 5000, cause="exit", exit_code=1, message="ModuleNotFoundError: No module named 'wandb'"),
            ended(3, "failed", 900, cause="out-of-memory", exit_code=1, message=oom),
            ended(4, "cancelled", 300, cause="user", message="cancelled by ann"),
        ]

    def add(self, *jobs: JsonMap) -> None:
        for one in jobs:
            self.jobs[one["id"]] = one
            if one["state"] == "queued":
                self.line.append(one["id"])
        self.lay()

    def lay(self) -> None:
        """Those that are held stand last and have no position; each says when it is expected to start."""
        ready = [one for one in self.line if not self.jobs[one]["hold"]]
        self.line = ready + [one for one in self.line if self.jobs[one]["hold"]]
        self.ready = len(ready)
        now = time.time()
        for at, number in enumerate(self.line):
            one = self.jobs[number]
            held = at >= self.ready
            start = None if held else now + 2400 * (at + 1) / len(self.cards)
            one["position"] = None if held else at + 1
            one["why_code"] = "held" if held else "paused" if self.head["paused"] else "position"
            one["why"] = "held: release it to let it start" if held else f"{at} before it"
            one["expected_start_at"] = start
            one["expected_start_range"] = None if start is None else [start - 300 * at, start + 900 * at]
        for card in self.cards:
            card["jobs"] = [
                n for n, one in self.jobs.items() if one["state"] == "running" and card["id"] in one["gpu_ids"]
            ]
            card["use"] = "held" if card["jobs"] else "free"

    def columns(self) -> JsonMap:
        table = {name: [self.jobs[number][name] for number in self.line] for name in COLUMNS}
        return {"jobs": [*self.line], "ready": self.ready, **table}

    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for one in self.jobs.values():
            found[one["state"]] = found.get(one["state"], 0) + 1
        return found

    def snapshot(self) -> JsonMap:
        now = time.time()
        over = sorted((one for one in self.jobs.values() if one["state"] in ENDED), key=lambda one: -one["ended_at"])
        wave = [[now - 60 + 2 * at, 60 + 30 * ((at * 7) % 5) / 5, 3 * GIB] for at in range(30)]
        daemon: JsonMap = {"connected": self.connected, "version": "0.1.0", "pid": 4711, "started_at": self.started}
        return {
            "seq": self.seq,
            "epoch": self.epoch,
            "at": now,
            "daemon": daemon | {"home": "/home/ann/.local/state/trainq", "user": "ann", "host": "desk"},
            **self.head,
            "lanes": [],
            "counts": self.counts(),
            "gpus": self.cards,
            "gpu_history": {card["id"]: wave for card in self.cards},
            "running": [one for one in self.jobs.values() if one["state"] in {"running", "pending"}],
            "queued": [self.jobs[number] for number in self.line],
            "recent": over[:50],
        }

    def queue_page(self) -> JsonMap:
        waiting = [{**self.jobs[number], "job_id": number} for number in self.line]
        alive = [one for one in self.jobs.values() if one["state"] == "running"]
        numbers: JsonMap = {"running": len(alive), "queued": len(waiting)}
        return numbers | {"jobs": waiting, "running_jobs": alive, "counts": self.counts(), **self.head}

    # -- events

    def tell(self, **delta: Any) -> None:
        self.seq += 1
        whole = json.loads(json.dumps({"seq": self.seq, "at": time.time(), **delta}))
        for stream in self.streams:
            stream.put(whole)

    def show(self, *numbers: int, **delta: Any) -> None:
        """These jobs have changed, and the line with them."""
        self.lay()
        jobs = [self.jobs[number] for number in numbers]
        self.tell(jobs=jobs, line=self.columns(), counts=self.counts(), gpus=self.cards, **delta)

    def change(self, number: int, **fields: Any) -> None:
        """For tests: a job becomes this, wherever it stood before."""
        with self.lock:
            one = self.jobs[number]
            one.update(fields)
            self.line = [other for other in self.line if self.jobs[other]["state"] == "queued"]
            if one["state"] == "queued" and number not in self.line:
                self.line.append(number)
            self.show(number)

    def report(self, number: int, **progress: Any) -> None:
        with self.lock:
            one = self.jobs[number]
            usual: JsonMap = dict.fromkeys(("fraction", "step", "total", "rate", "eta", "metrics", "message"))
            one["progress"] = {**usual, **(one["progress"] or {}), **progress, "updated_at": time.time()}
            self.tell(progress={str(number): one["progress"]})

    def set_head(self, **fields: Any) -> None:
        with self.lock:
            self.head.update(fields)
            self.show(**self.head)

    def disconnect(self) -> None:
        with self.lock:
            self.connected = False
            self.tell(daemon={"connected": False})

    def restart(self) -> None:
        """The daemon is back, with a new epoch: a whole snapshot again."""
        with self.lock:
            self.connected, self.epoch, self.started = True, self.epoch + "+", time.time()
            for stream in self.streams:
                stream.put({"snapshot": json.loads(json.dumps(self.snapshot()))})

    def drop(self) -> None:
        """All streams end, as when the gateway goes away."""
        with self.lock:
            for stream in self.streams:
                stream.put(None)

    # -- requests

    def post(self, path: str, body: JsonMap) -> tuple[int, JsonMap]:
        with self.lock:
            self.asked.append((path, body))
            if path in self.refuse:
                status, code, message = self.refuse[path]
                return status, {"error": {"code": code, "message": message}}
            verb, _, number = path.strip("/").partition("/")
            if verb in {"pause", "resume", "drain"}:
                on = verb != "resume"
                self.head.update(paused=on, draining=verb == "drain", paused_since=time.time() if on else None)
                self.head["pause_reason"] = None
                self.show(*self.line[:0], **self.head)
                return 200, {name: self.head[name] for name in ("paused", "draining")}
            if verb == "execute":
                return self.execute(body)
            numbers = [int(number)] if number else [int(one) for one in body["jobs"]]
            return self.verb(verb, numbers, body, single=bool(number))

    def execute(self, spec: JsonMap) -> tuple[int, JsonMap]:
        for field in ("command", "cwd"):
            if not spec.get(field):
                missing = f"Object missing required field `{field}` - at `$.{field}`"
                return 400, {"error": {"code": "bad-request", "message": missing}}
        number = next(self.ids)
        self.jobs[number] = job(number, **spec) | {"submitted_at": time.time()}
        self.line.append(number)
        self.show(number)
        return 202, {"job_id": number, "status": "queued", "queue_position": self.jobs[number]["position"]}

    def verb(self, verb: str, numbers: list[int], body: JsonMap, *, single: bool) -> tuple[int, JsonMap]:
        if verb == "move":
            self.move(numbers, body)
        elif verb == "copy":
            kept = ("command", "cwd", "name", "gpus", "priority", "tags")
            spec = {name: self.jobs[numbers[0]][name] for name in kept} | body.get("set", {})
            status, answer = self.execute(spec)
            copied: JsonMap = {"id": answer["job_id"], "state": "queued", "position": answer["queue_position"]}
            return status, {"jobs": [copied]}
        answers: list[JsonMap] = []
        for number in numbers:
            one = self.jobs.get(number)
            error = (
                None if one and self.act(verb, one, body) else {"code": "conflict", "message": f"job {number} cannot"}
            )
            state = one["state"] if one else None
            answers.append({"id": number, "ok": error is None, "state": state, "changed": True, "error": error})
        self.line = [number for number in self.line if self.jobs[number]["state"] == "queued"]
        self.show(*(number for number in numbers if number in self.jobs))
        if single and verb in {"move", "edit"}:
            return 200, {"job": self.jobs[numbers[0]]}
        return 200, {"jobs": answers}

    def move(self, numbers: list[int], body: JsonMap) -> None:
        rest = [number for number in self.line if number not in numbers]
        at = {"front": 0, "back": len(rest)}.get(body.get("to", ""), len(rest))
        if "before" in body:
            at = rest.index(body["before"])
        elif "position" in body:
            at = body["position"] - 1
        self.line = rest[:at] + numbers + rest[at:]

    def act(self, verb: str, one: JsonMap, body: JsonMap) -> bool:
        """Whether it may be done."""
        now = time.time()
        over, waits = one["state"] in ENDED, one["state"] == "queued"
        if verb == "cancel" and not over:
            one.update(state="cancelled", cause="user", ended_at=now, message="cancelled by ann", hold=False)
        elif verb in {"hold", "release"} and waits:
            one["hold"] = verb == "hold"
        elif verb == "retry" and over:
            one.update(state="queued", cause=None, ended_at=None, message=None, attempt=one["attempt"] + 1)
            one.update(body.get("set") or {}, started_at=None, progress=None)
            self.line.append(one["id"])
        elif verb in {"suspend", "continue"} and one["state"] == "running":
            one["suspended"] = verb == "suspend"
        elif verb == "preempt" and one["state"] == "running":
            one.update(state="queued", started_at=None, progress=None, attempt=one["attempt"] + 1)
            self.line.append(one["id"])
        elif verb == "edit" and waits:
            one.update(body["set"])
        else:
            return verb == "move" and waits
        return True
