"""The table: headings, and a line for each running, waiting and ended job, made only when it is looked at. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainqueue.cli.gpus import label
from trainqueue.cli.said import metric, rate, steps
from trainqueue.cli.screen import clock, took
from trainqueue.cli.stalls import stalled
from trainqueue.core.forewords import left, starts
from trainqueue.core.words import percent
from trainqueue.jobinfo import ENDED
from trainqueue.top.drawn import Line, Part, clean, cut, joined, part, rule
from trainqueue.top.world import RECENT

if TYPE_CHECKING:
    from trainqueue.top.world import JobMap, World

Key = int | str
"""A job's id, or the text of a heading."""

MARK, NO_MARK = "▶ ", "  "
STATES = {"completed": "good", "failed": "bad", "lost": "bad", "cancelled": "dim"}
HALVES = "▏▎▍▌▋▊▉█"


class Table:
    """What stands in which row; `shape` anew after every change of the world, of its filter, or of the width."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.keys: list[Key] = []
        self.width, self.now = 80, 0.0
        self.expected = True

    def shape(self, width: int, now: float, *, ended: int = RECENT, keep: int | None = None) -> None:
        """With so many ended jobs, and the one to `keep` in any case: who watches a job sees it end."""
        world, self.width, self.now = self.world, width, now
        over = [job for at, job in enumerate(world.recent) if at < ended or job == keep or world.filter]
        sections = {"running": world.running, "ended": over, "waiting": world.waiting}
        self.keys, self._shown = [], dict[str, int]()
        for name, jobs in sections.items():
            found = [job for job in jobs if world.matches(job)] if world.filter else jobs
            self._shown[name] = len(found)
            if found or name != "ended":
                self.keys += [name, *found]
        self._digits = max(3, *(len(str(job)) for job in (*world.running, *world.recent[:1], *world.waiting[-1:])), 3)

    def __len__(self) -> int:
        return len(self.keys)

    def job(self, at: int) -> int | None:
        key = self.keys[at] if 0 <= at < len(self.keys) else None
        return key if isinstance(key, int) else None

    def find(self, job: int | None) -> int | None:
        """Its row."""
        if job is None:
            return None
        try:
            return self.keys.index(job)
        except ValueError:
            return None

    def next_to(self, at: int, step: int) -> int | None:
        """The row of the nearest job from this row on, in the direction of `step`, else in the other one."""
        for direction in (step, -step):
            row = max(0, min(at, len(self.keys) - 1))
            while 0 <= row < len(self.keys):
                if self.job(row) is not None:
                    return row
                row += 1 if direction > 0 else -1
        return None

    def with_headings(self, at: int) -> int:
        """The row from which on only headings stand before this one."""
        while at > 0 and self.job(at - 1) is None:
            at -= 1
        return at

    def line(self, at: int, *, selected: bool = False) -> Line:
        key = self.keys[at]
        if isinstance(key, str):
            return self.heading(key)
        job = self.world.jobs.get(key)
        if job is None:
            return self.unknown(key, selected=selected)
        if job["state"] == "queued":
            return self.waiting(job, selected=selected)
        return (self.ended if job["state"] in ENDED else self.running)(job, selected=selected)

    # -- lines

    def heading(self, name: str) -> Line:
        world = self.world
        jobs = {"running": world.running, "waiting": world.waiting, "ended": world.recent}[name]
        title = {"running": "Running", "waiting": "Waiting", "ended": "Ended lately"}[name]
        said: list[Part] = [(title, "bold")]
        if name != "ended":
            said += [(f" {len(jobs):,}", "bold")]
        elif self.width >= 60:
            more = len(jobs) - self._shown[name]
            said += [(f", {more} more: o", "dim")] if more and not world.filter else []
        if name == "waiting" and world.ready < len(jobs) and self.width >= 60:
            said += [(f", of these {len(jobs) - world.ready:,} may not start yet", "dim")]
        if world.filter:
            shown = self._shown[name]
            said += [(f", {shown:,} shown", "dim")]
        return rule([*said, (" ", "")], self.width)

    def front(self, job: int, selected: bool) -> list[Part]:  # noqa: FBT001
        return [(MARK if selected else NO_MARK, "mark"), part(job, self._digits, "id", right=True), (" ", "")]

    def unknown(self, job: int, *, selected: bool) -> Line:
        return cut([*self.front(job, selected), ("…", "dim")], self.width)

    def running(self, job: JobMap, *, selected: bool) -> Line:
        progress: dict[str, Any] = job.get("progress") or {}
        width, fraction = self.width, progress.get("fraction")
        cells: list[Part] = []
        said = remark(job)
        if width >= 56:
            drawn = 12 if width >= 76 else 6
            cells.append((bar(fraction, drawn), "bar") if fraction is not None else (" " * drawn, ""))
        cells.append(part("" if fraction is None else f"{percent(fraction)} %", 5, right=True))
        if width >= 100:
            cells.append(part(rate(progress.get("rate")), 9, "dim", right=True))
        ends = left(job, self.now)
        if width >= 76:
            cells.append(part(ends, 18, "good"))
        elif ends.endswith(" left"):
            cells.append(part(ends.removesuffix(" left").removeprefix("about "), 8, "good", right=True))
        if width >= 90:
            cells.append(part(took(self.ran(job)), 8, "dim", right=True))
        if width >= 84:
            cells.append(part(fact(progress), 16 if width >= 110 else 12))
        if width >= 120:
            cells.append(part(self.on(job), 7, "dim"))
        if said and width < 84:
            cells = [(clean(said), "warn")]
        elif said:
            cells = [*cells[:-1], part(said, max(16, min(40, width - 90)), "warn")]
        return self.fit(job, selected, cells)

    def waiting(self, job: JobMap, *, selected: bool) -> Line:
        at, width = self.world.position(job["id"]), self.width
        cells = [part(f"#{at}" if at else "-", 5, "id")]
        why = job["why"] or ""
        why = "" if why.startswith("position ") else why  # it stands there already
        if width >= 90:
            cells.append(part(starts(job, self.now), 28 if width >= 110 else 24, "good"))
            cells.append(part(why, max(20, (width - 60) // 2), "dim" if job["why_code"] == "position" else "warn"))
        elif job["why_code"] == "position":
            cells.append(part(starts(job, self.now).removeprefix("starts ") or "", min(20, width // 3), "good"))
        else:
            cells.append(part(why, max(12, width // 2 - 4), "warn"))
        return self.fit(job, selected, cells)

    def ended(self, job: JobMap, *, selected: bool) -> Line:
        width = self.width
        cells = [part(job["state"], 9, STATES.get(job["state"], ""))]
        if width >= 60:
            cells.append(part(took(job["run_time"]), 8, "dim", right=True))
        if width >= 76:
            cells.append(part(clock(job["ended_at"])[:-3], 12, "dim"))
        if width >= 90:
            cells.append(part(ending(job), max(16, (width - 60) // 2), "dim"))
        return self.fit(job, selected, cells)

    def fit(self, job: JobMap, selected: bool, cells: list[Part]) -> Line:  # noqa: FBT001
        """The name gets what the others leave, and is in front of them."""
        front, behind = self.front(job["id"], selected), joined([(" ", ""), *cells], " ")
        used = sum(len_of(one) for one in (*front, *behind))
        room = self.width - used
        name = part(job["name"], max(8, room), "name")
        return cut([*front, name, *behind], self.width)

    def ran(self, job: JobMap) -> float | None:
        """How long by now: the daemon's figure is as old as its answer, so that the start is what counts."""
        if job["state"] != "running" or job["started_at"] is None or job.get("suspended"):
            known: float | None = job["run_time"]
            return known
        return max(0.0, self.now - float(job["started_at"]))

    def on(self, job: JobMap) -> str:
        known = {gpu["id"]: gpu for gpu in self.world.gpus}
        names = [label(known[gpu]).removeprefix("GPU ") if gpu in known else gpu for gpu in job["gpu_ids"]]
        return ("GPU " if names and names[0].isdecimal() else "") + ",".join(names)


def len_of(one: Part) -> int:
    from trainqueue.cli.screen import cells

    return cells(one[0])


def bar(fraction: float, width: int) -> str:
    """In eighths of a character."""
    full, rest = divmod(round(max(0.0, min(1.0, fraction)) * width * 8), 8)
    drawn = "█" * full + (HALVES[rest - 1] if rest else "")
    return drawn + "░" * (width - len(drawn))


def fact(progress: dict[str, Any]) -> str:
    """The metric that people look for first; what the script says in words where it reports none."""
    return metric(progress) or str(progress.get("message") or "") or steps(progress)


def remark(job: JobMap) -> str:
    """What is not as usual with a job that runs."""
    if job.get("stopping"):
        return "stopping"
    if job.get("preempting"):
        return "saves and ends"
    if job.get("suspended"):
        return "suspended"
    return "starting" if job["state"] == "pending" else stalled(job)


def ending(job: JobMap) -> str:
    code = f"signal {job['signal']}" if job["signal"] is not None else f"exit code {job['exit_code']}"
    facts = [job["cause"], code if job["state"] == "failed" and job["cause"] in {"exit", "signal"} else None]
    return ", ".join(fact for fact in (*facts, job["message"]) if fact)
