"""What must hold of a weekend: when jobs may start. `weekends.py` judges how they end. All from outside."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from soak import invariants, weekends, weekline
from soak.history import ENDED
from soak.invariants import plain
from soak.timeline import FOREVER, Timeline
from soak.wishes import MEMORY, SECRET, SHARE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from soak.history import Ask, History, Order, Stamp
    from soak.nights import Warden
    from soak.shell import Shell
    from soak.watch import Watch

LAG = 2.0
"""Seconds from the moment when a job is taken from the line to its first own line, at most, on a busy machine."""
SLACK = 0.05
"""Seconds by which the wall clock of an event may differ from the monotonic one of a stamp."""


@dataclass
class Weekend:
    """All of it; `listed`: the jobs whose records were kept to the end."""

    history: History
    watch: Watch
    warden: Warden
    listed: list[dict[str, Any]]
    shell: Shell
    most_jobs: int
    linger: float

    @property
    def raw(self) -> list[dict[str, Any]]:
        return self.watch.raw

    @property
    def attempts(self) -> dict[int, list[dict[str, Any]]]:
        return self.watch.attempts


class Sight(Timeline):
    def __init__(self, weekend: Weekend) -> None:
        super().__init__(weekend.history)
        self.weekend = weekend
        offset = weekend.watch.offset
        self.raw = [{**event, "at": event["at"] - offset} for event in weekend.raw]
        self.pendings = {(e["id"], e["attempt"]): e for e in self.raw if is_taken(e)}
        """The last time that an attempt was taken from the line."""

    def begun(self) -> Iterator[tuple[Order, Stamp]]:
        for job, order in self.acknowledged.items():
            for start in self.starts(job):
                yield order, start

    def before(self, one: Stamp, other: Stamp) -> bool:
        """Whether one was taken from the line before the other; their first words may come the other way round."""
        seqs = [self.pendings.get((stamp.job, stamp.attempt), {"seq": -1})["seq"] for stamp in (one, other)]
        return bool(seqs[0] < seqs[1])

    def end_of(self, start: Stamp) -> float:
        """Until when it certainly ran: its last word."""
        mine = (s.at for s in self.stamps[start.job] if s.attempt == start.attempt and s.what in {"stop", "tick"})
        return max(mine, default=start.at)


def nothing_is_lost(sight: Sight) -> Iterator[str]:
    """Acknowledged: it is there and has ended, or retention took it when it might."""
    listed = {job["id"] for job in sight.weekend.listed}
    newest = max((news.at for news in sight.history.news), default=0.0)
    for order in sight.history.orders:
        if order.id is None:
            if not order.doubtful:
                yield f"key {order.key} was never acknowledged"
            continue
        view, ends = sight.history.jobs.get(order.id), sight.ends(order.id)
        told = sight.news.get(order.id, [])
        if view is None or not told or told[-1].state not in ENDED:
            yield f"job {order.id} did not end ({told[-1] if told else 'nobody has heard of it'})"
        elif order.id not in listed and ends[-1].at > newest - 1.0 and len(listed) < sight.weekend.most_jobs:
            yield f"the record of job {order.id} is gone, which has just ended"


def a_key_runs_once(sight: Sight) -> Iterator[str]:
    """One job a key and as many more as copies were asked for."""
    ids = Counter(order.id for order in sight.history.orders if order.id is not None)
    yield from (f"id {job} was given {count} times" for job, count in ids.items() if count > 1)
    keys = Counter(invariants.key_of(view["command"]) for view in sight.history.jobs.values())
    copies = Counter[str]()
    for order in sight.history.orders:
        copies[order.key] += 1
    yield from (f"key {key} ran as {n} jobs" for key, n in keys.items() if n > max(1, copies[key]))


def nothing_overlaps(sight: Sight) -> Iterator[str]:
    """By their locks, whole GPUs and shared ones; and no more of a shared one than there is."""
    for stamp in sight.history.stamps:
        if stamp.what == "overlap":
            yield f"job {stamp.job}, attempt {stamp.attempt} found {stamp.word} locked at {stamp.at:.3f}"
    spans: dict[str, list[tuple[float, float, int]]] = {}
    for order, start in sight.begun():
        if sight.only(order, "gpu_memory", start.at) == (SHARE,):
            for gpu in start.gpus:
                spans.setdefault(gpu, []).append((start.at, sight.end_of(start), start.job))
    for gpu, found in spans.items():
        for at, _, job in found:
            there = [other for begin, end, other in found if begin <= at < end]
            if len(there) * SHARE > MEMORY:
                yield f"{gpu}: jobs {there} share it when job {job} starts, {SHARE} bytes each"


def gpus_are_true(sight: Sight) -> Iterator[str]:
    for order, start in sight.begun():
        if len(start.gpus) not in sight.values(order, "gpus", start.at):
            yield f"job {start.job}, attempt {start.attempt} ran on {start.gpus}"
        wanted = sight.only(order, "gpu_from", start.at)
        if wanted and wanted[0] and not {*start.gpus} <= {f"GPU-fake-{n}" for n in wanted[0]}:
            yield f"job {start.job}, attempt {start.attempt} ran on {start.gpus}, it may run on {wanted[0]}"


def dependencies_were_met(sight: Sight) -> Iterator[str]:
    """Whatever it waited for had ended so once, before its first word."""
    for order, start in sight.begun():
        if sight.only(order, "keep", start.at) != (False,) and sight.maybe(start.job, "release", until=start.at):
            continue  # it was held instead, and released
        for name, states in (("after", ("completed",)), ("after_any", ()), ("after_failed", ("failed", "lost"))):
            choices = sight.values(order, name, start.at)
            met = [all(sight.ended_by(dep, start.at + SLACK, *states) for dep in deps or ()) for deps in choices]
            if not any(met):
                yield f"job {start.job}, attempt {start.attempt} started before {name} {choices} had ended so"
        groups = sight.values(order, "after_group", start.at)
        if len(groups) == 1:
            for group in groups[0] or ():
                yield from before_its_group(sight, order, start, group)


def before_its_group(sight: Sight, order: Order, start: Stamp, group: str) -> Iterator[str]:
    """Of the jobs that certainly were in the group all the time."""
    for job, other in sight.acknowledged.items():
        member = other.spec.get("group") == group and {*sight.ever(other, "group")} == {group}
        if member and job < start.job and not sight.ended_by(job, start.at + SLACK, "completed"):
            yield f"job {order.id}, attempt {start.attempt} started before job {job} of group {group} had completed"


def not_too_early(sight: Sight) -> Iterator[str]:
    offset = sight.weekend.watch.offset
    for order, start in sight.begun():
        times = sight.values(order, "not_before", start.at)
        if all(at is not None and start.at + offset < at - SLACK for at in times):
            yield f"job {start.job}, attempt {start.attempt} started at {start.at + offset:.3f}, not before {times}"


def holds_stick(sight: Sight) -> Iterator[str]:
    for job, order in sight.acknowledged.items():
        freeing = [
            ask for ask in sight.asked(job, "release", "retry", "edit", "preempt") if ask.may_have and frees(ask)
        ]
        holding = [ask for ask in sight.asked(job, "hold", "edit", "preempt", "retry") if ask.ok and holds(ask)]
        spans = [(ask.sent, ask.answered or FOREVER) for ask in holding]
        if order.spec.get("hold"):
            spans.append((order.sent, order.answered or FOREVER))
        for sent, answered in spans:
            end = min((ask.sent for ask in freeing if (ask.answered or FOREVER) > sent), default=FOREVER)
            for start in sight.starts(job):
                if answered < start.at < end and not was_running(sight, start, answered):
                    yield f"job {job}, attempt {start.attempt} started {start.at - answered:.3f} s after it was held"


def holds(ask: Ask) -> bool:
    wanted = ask.fields.get("set", ask.fields).get("hold", False)
    return ask.op == "hold" or wanted is True


def frees(ask: Ask) -> bool:
    """The last preemption says whether it is held; a retry that says nothing holds nothing."""
    if ask.op == "preempt":
        return not ask.fields.get("hold")
    return ask.op in {"release", "retry"} or ask.fields.get("set", {}).get("hold") is False


def was_running(sight: Sight, start: Stamp, at: float) -> bool:
    """Whether this start was of the attempt that a preemption was to end."""
    pending = sight.pendings.get((start.job, start.attempt))
    return pending is not None and pending["at"] <= at


def edits_stick(sight: Sight) -> Iterator[str]:
    """What a job was given is what it had at that time; what is shown of it at the end is the last."""
    for order, start in sight.begun():
        if not start.word.count("="):
            continue
        found = dict(pair.split("=", 1) for pair in start.word.split(","))
        commands = sight.values(order, "command", start.at)
        if start.edition not in {invariants.edition_of(command) for command in commands}:
            yield f"job {start.job}, attempt {start.attempt} ran as edition {start.edition}, not one of {commands}"
        folders = {str(folder).rpartition("/")[2] for folder in sight.values(order, "cwd", start.at)}
        if found["cwd"] not in folders and order.mode != "frozen":
            yield f"job {start.job}, attempt {start.attempt} ran in {found['cwd']}, not in {folders}"
        masks = sight.values(order, "umask", start.at)
        if None not in masks and int(found["umask"]) not in masks:
            yield f"job {start.job}, attempt {start.attempt} had the umask {found['umask']}, not {masks}"
        numbers = numbered(sight.values(order, "env", start.at))
        if found["n"] not in numbers:
            yield f"job {start.job}, attempt {start.attempt} found WEEKEND_N={found['n']}, not {numbers}"
        extras = ["+".join(extra or ()) for extra in sight.values(order, "resume_args", start.at)]
        if found["extra"] not in (extras if start.attempt > 1 else [""]):
            yield f"job {start.job}, attempt {start.attempt} was called with {found['extra']!r}, not {extras}"
    for job, order in sight.acknowledged.items():
        view = sight.history.jobs.get(job, {})
        for name in ("priority", "time_limit", "grace", "warn", "lane", "group", "max_running", "tags", "retries"):
            last = sight.only(order, name, FOREVER)
            if view and last is not None and last[0] != view[name]:
                yield f"job {job}: {name} is {view[name]}, asked for was {last[0]}"


def numbered(environments: list[Any]) -> set[str]:
    return {(env or {}).get("WEEKEND_N", "") for env in environments}


def environments_are_told(sight: Sight) -> Iterator[str]:
    """As they are, but for what is secret."""
    for ask in sight.history.asks:
        if ask.op != "env" or not ask.ok:
            continue
        order, shown = sight.acknowledged[ask.job], ask.fields["shown"]
        numbers = numbered(
            [value for at in (ask.sent, ask.answered) for value in sight.values(order, "env", at or 0.0)]
        )
        if shown.get("WEEKEND_N", "") not in numbers:
            yield f"job {ask.job} is said to have WEEKEND_N={shown.get('WEEKEND_N')}, not {numbers}"
        if SECRET in shown.values():
            yield f"a secret of job {ask.job} is shown: {shown}"


def bounds_hold(sight: Sight) -> Iterator[str]:
    """`max_running`: of those that certainly were in its group and certainly ran when it started."""
    groups: dict[str, list[tuple[Order, Stamp, float]]] = {}
    for order, start in sight.begun():
        named = sight.only(order, "group", start.at)
        if named is not None and named[0] is not None:
            groups.setdefault(named[0], []).append((order, start, sight.end_of(start)))
    for group, found in groups.items():
        for order, start, _ in found:
            most = sight.values(order, "max_running", start.at)
            there = [other.job for _, other, end in found if sight.before(other, start) and start.at < end]
            if None not in most and len(there) >= max(most):
                yield f"job {start.job}, attempt {start.attempt} of {group} started while {there} ran, at most {most}"


def lanes_hold(sight: Sight) -> Iterator[str]:
    """Their pauses, by numbered events and by the clock; and their share, where they were not given less meanwhile."""
    pauses = [ask for ask in sight.asked(0, "lane") if "paused" in ask.fields]
    lanes: dict[str, list[tuple[Stamp, float, int]]] = {}
    for order, start in sight.begun():
        named = sight.only(order, "lane", start.at)
        if named is not None:
            lanes.setdefault(named[0] or "default", []).append((start, sight.end_of(start), len(start.gpus)))
    for lane, found in lanes.items():
        for start, _, gpus in found:
            most = shares(sight, lane, start)
            used = sum(n for other, end, n in found if sight.before(other, start) and start.at < end)
            if gpus and all(bound is not None and used + gpus > bound for bound in most):
                yield f"job {start.job} started in lane {lane}, which held {used} GPUs, at most {most}"
            pending = sight.pendings.get((start.job, start.attempt))
            told = [e for e in sight.raw if e["type"] == "lane" and e["name"] == lane]
            if pending is not None and told_closed(told, pending):
                yield f"job {start.job}, attempt {start.attempt} was taken from lane {lane} while that was paused"
            if closed([ask for ask in pauses if ask.fields["name"] == lane], start.at):
                yield f"job {start.job}, attempt {start.attempt} started while its lane {lane} was paused"


def shares(sight: Sight, lane: str, start: Stamp) -> list[int | None]:
    """What the lane may have been given when it was decided that this one starts."""
    pending = sight.pendings.get((start.job, start.attempt))
    since = (pending["at"] if pending is not None else start.at) - LAG
    given: list[int | None] = [{"debug": 1, "long": 2}.get(lane)]
    for ask in sight.asked(0, "lane"):
        if ask.fields["name"] == lane and "gpus" in ask.fields and ask.sent <= start.at:
            given = [*(given if (ask.answered or FOREVER) > since else []), ask.fields["gpus"]]
    return given


def the_queue_stands_still(sight: Sight) -> Iterator[str]:
    told = [event for event in sight.raw if event["type"] == "queue"]
    for event in sight.raw:
        if is_taken(event) and told_closed(told, event):
            yield f"job {event['id']}, attempt {event['attempt']} was taken from the line while the queue was paused"
    for _, start in sight.begun():
        if closed(sight.asked(0, "pause", "resume"), start.at):
            yield f"job {start.job}, attempt {start.attempt} started while the queue was paused"


def is_taken(event: dict[str, Any]) -> bool:
    """From the line. One that is cancelled before its process begins is told as pending once more."""
    return event["type"] == "job" and event["state"] == "pending" and not event["stopping"]


def told_closed(told: list[dict[str, Any]], pending: dict[str, Any]) -> bool:
    """A drain ends with its daemon, and nothing is told of that: who reads events sees the new epoch."""
    last = next((event for event in reversed(told) if event["seq"] < pending["seq"]), None)
    drains = last is not None and last.get("draining") and last["epoch"] == pending["epoch"]
    return last is not None and bool(last["paused"] or drains)


def closed(asks: list[Ask], at: float) -> bool:
    """Whether that was paused for so long that nothing under way can explain a start; asked by one warden, in order."""
    last = next((ask for ask in reversed(asks) if ask.sent <= at), None)
    pauses = last is not None and (last.op == "pause" or last.fields.get("paused") is True)
    return pauses and last is not None and last.answered is not None and last.answered + LAG < at


def disabled_gpus_rest(sight: Sight) -> Iterator[str]:
    """No job is given one from the answer on until it is asked for again."""
    asks = sight.asked(0, "disable", "enable")
    for job, order in sight.acknowledged.items():
        for start in sight.starts(job):
            pending = sight.pendings.get((job, start.attempt))
            for gpu in start.gpus if pending is not None else ():
                mine = [ask for ask in asks if gpu in ask.fields["gpus"]]
                if pending is not None and rests(mine, pending["at"]):
                    yield f"job {job} ({order.key}), attempt {start.attempt} was given {gpu}, which was disabled"


def rests(asks: list[Ask], at: float) -> bool:
    last = next((ask for ask in reversed(asks) if ask.sent <= at + SLACK), None)
    return last is not None and last.op == "disable" and (last.answered or FOREVER) + SLACK < at


INVARIANTS: tuple[Callable[[Any], Iterator[str]], ...] = (
    invariants.nothing_odd_was_seen,
    nothing_is_lost,
    a_key_runs_once,
    invariants.an_attempt_runs_once,
    invariants.a_job_ends_once,
    invariants.states_follow_the_table,
    invariants.events_have_no_hole,
    nothing_overlaps,
    gpus_are_true,
    invariants.first_come_first_served,
    dependencies_were_met,
    not_too_early,
    holds_stick,
    edits_stick,
    environments_are_told,
    bounds_hold,
    lanes_hold,
    the_queue_stands_still,
    disabled_gpus_rest,
    *weekline.INVARIANTS,
    *weekends.INVARIANTS,
    invariants.nobody_is_left,
)


def violations(weekend: Weekend) -> list[str]:
    sight = Sight(weekend)
    return [f"{plain(check.__name__)}: {wrong}" for check in INVARIANTS for wrong in check(sight)]
