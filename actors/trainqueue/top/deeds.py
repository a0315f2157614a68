"""What can be done to a job or to the queue: whether now, what is asked before, how it is taken back. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainqueue.core.words import duration, number, percent
from trainqueue.jobinfo import ENDED
from trainqueue.top.drawn import clean

if TYPE_CHECKING:
    from trainqueue.top.world import JobMap, World

Call = tuple[str, dict[str, Any]]
NAMED = 8
GRACE = 10.0


@dataclass(frozen=True, slots=True)
class Deed:
    """`calls` are asked one after the other, until one is refused."""

    calls: tuple[Call, ...]
    said: str
    """What has been done when all went well."""
    job: int | None = None
    state: str = ""
    """Of the job when it was decided: in another one it is not done any more."""
    question: str = ""
    """What will happen, for those that take something away."""
    undo: tuple[Call, ...] = ()
    undone: str = ""


class Refused(Exception):  # noqa: N818  (a sentence for people, no error)
    """It is not possible now."""


def named(job: JobMap) -> str:
    name = clean(job["name"])
    return f"job {job['id']} ({name[:40]}{'…' * (len(name) > 40)})"


def on(op: str, job: int, **fields: Any) -> Call:
    return op, {"jobs": [job], **fields}


def need(job: JobMap, *states: str, verb: str) -> None:
    if job["state"] not in states:
        msg = f"job {job['id']} is {job['state']}: {verb}"
        raise Refused(msg)


def running(job: JobMap, verb: str) -> None:
    need(job, "running", verb=f"only a running job can be {verb}")
    if job.get("stopping"):
        msg = f"job {job['id']} is being stopped already"
        raise Refused(msg)


def place_back(world: World, job: JobMap) -> tuple[Call, ...]:
    """To before the one behind it, where it stands now; nothing for one that has no position."""
    line = world.waiting[: world.ready]
    if job["id"] not in line:
        return ()
    at = line.index(job["id"])
    behind = line[at + 1 : at + 2]
    return (("move", {"job": job["id"], "before": behind[0]} if behind else {"job": job["id"], "to": "back"}),)


def cancel(world: World, job: JobMap, now: float) -> Deed:
    """Also of one that is being stopped: then it is killed at once."""
    number_, state = job["id"], job["state"]
    if state in ENDED:
        msg = f"job {number_} has ended already: {state}"
        raise Refused(msg)
    if state == "queued":
        said = f"Cancel {named(job)}? It has not started, nothing is lost; z takes it back.{hit(world, job)}"
        undo = (on("retry", number_), *place_back(world, job))
        return Deed((on("cancel", number_),), f"job {number_} is cancelled", number_, state, said, undo, "waits again")
    if job.get("stopping"):
        said = f"Kill {named(job)} at once? It is being stopped; SIGKILL leaves it no time to save."
        return Deed((on("cancel", number_, force=True),), f"job {number_} is killed", number_, state, said)
    grace = job["grace"] if job.get("grace") is not None else GRACE
    ran = f" It has run for {duration(max(0.0, now - job['started_at']))}{share(job)}." if job["started_at"] else ""
    how = f" SIGTERM to all its processes, SIGKILL after {duration(grace)}; that cannot be taken back."
    said = f"Cancel {named(job)}?{ran}{how}{hit(world, job)}"
    return Deed((on("cancel", number_),), f"job {number_} is told to stop", number_, state, said)


def share(job: JobMap) -> str:
    fraction = (job.get("progress") or {}).get("fraction")
    return "" if fraction is None else f" and has done {percent(fraction)} %"


def hit(world: World, job: JobMap) -> str:
    """Who else goes with it."""
    waiting = world.dependents(job["id"])
    gone = [other for other in waiting if job["id"] in world.jobs[other]["after"] and not world.jobs[other].get("keep")]
    if not gone:
        return ""
    names = ", ".join(map(str, gone[:NAMED])) + (", …" if len(gone) > NAMED else "")
    return (
        f" {number(len(gone), 'job')} waiting for it ({names}) {'is' if len(gone) == 1 else 'are'} cancelled as well."
    )


def hold(world: World, job: JobMap, now: float) -> Deed:
    """Or release."""
    del world, now
    need(job, "queued", verb="only a waiting job can be held")
    held = job["why_code"] == "held" or bool(job.get("hold"))
    op, other, words = ("release", "hold", "is released") if held else ("hold", "release", "is held")
    undone = "is held again" if held else "is released"
    return Deed(
        (on(op, job["id"]),), f"job {job['id']} {words}", job["id"], "queued", "", (on(other, job["id"]),), undone
    )


def move(world: World, job: JobMap, where: str) -> Deed:
    """Where: front, back, up, down."""
    need(job, "queued", verb="only a waiting job has a place in the line")
    number_, undo = job["id"], place_back(world, job)
    if where in {"front", "back"}:
        return Deed((("move", {"job": number_, "to": where}),), "", number_, "queued", "", undo, "is back in its place")
    line = world.waiting[: world.ready]
    if number_ not in line:
        msg = f"job {number_} has no position, since it may not start yet: f and b move it to the front and the back"
        raise Refused(msg)
    at = line.index(number_)
    if where == "up":
        if at == 0:
            msg = f"job {number_} is the first in the line"
            raise Refused(msg)
        call: Call = "move", {"job": number_, "before": line[at - 1]}
    elif at + 1 >= len(line):
        msg = f"job {number_} is the last in the line"
        raise Refused(msg)
    else:
        call = "move", {"job": line[at + 1], "before": number_}  # the other one goes up
        undo = (("move", {"job": number_, "before": line[at + 1]}),)
    return Deed((call,), "", number_, "queued", "", undo, "is back in its place")


def retry(world: World, job: JobMap, now: float) -> Deed:
    del world, now
    if job["state"] not in ENDED and job.get("why_code") != "backoff":
        msg = f"job {job['id']} is {job['state']}: only an ended job can be retried"
        raise Refused(msg)
    return Deed((on("retry", job["id"]),), f"job {job['id']} waits again, as attempt {job['attempt'] + 1}", job["id"])


def suspend(world: World, job: JobMap, now: float) -> Deed:
    """Or continue."""
    del world, now
    running(job, "suspended")
    suspended = bool(job.get("suspended"))
    op, other = ("continue", "suspend") if suspended else ("suspend", "continue")
    said = f"job {job['id']} " + ("runs on" if suspended else "is suspended; it keeps its GPUs and their memory")
    undone = "is suspended again" if suspended else "runs on"
    return Deed((on(op, job["id"]),), said, job["id"], "running", "", (on(other, job["id"]),), undone)


def preempt(world: World, job: JobMap, now: float) -> Deed:
    del world, now
    running(job, "preempted")
    warn = f"SIGUSR1, after {duration(job['warn'])} SIGTERM" if job.get("warn") else "SIGTERM"
    said = (
        f"Preempt {named(job)}? {warn}; it saves if it can, ends, and waits in the line again as attempt "
        f"{job['attempt'] + 1}{share(job).replace(' and has', '; it has')}."
    )
    return Deed((on("preempt", job["id"]),), f"job {job['id']} saves and ends", job["id"], "running", said)


def priority(job: JobMap, text: str) -> Deed:
    """As people write it."""
    from trainqueue.cli.forms import Priority

    need(job, "queued", verb="only the priority of a waiting job can be changed")
    try:
        value = Priority().read(text.strip())
    except ValueError as error:
        raise Refused(str(error)) from None
    before = job["priority"]
    return Deed(
        (on("edit", job["id"], set={"priority": value}),),
        f"job {job['id']} has priority {value}",
        job["id"],
        "queued",
        "",
        (on("edit", job["id"], set={"priority": before}),),
        f"has priority {before} again",
    )


def pause(world: World) -> Deed:
    """Or resume, which ends a drain as well."""
    if world.modes.get("draining"):
        return Deed((("resume", {}),), "the queue goes on")
    if world.modes.get("paused"):
        return Deed((("resume", {}),), "the queue goes on", undo=(("pause", {}),), undone="the queue is paused again")
    return Deed((("pause", {}),), "the queue is paused", undo=(("resume", {}),), undone="the queue goes on")


def drain(world: World) -> Deed:
    if world.modes.get("draining"):
        msg = "the queue drains already; Space ends that"
        raise Refused(msg)
    left = len(world.running)
    when = f"when the {number(left, 'running job')} {'has' if left == 1 else 'have'} ended" if left else "at once"
    return Deed(
        (("drain", {}),),
        "the queue drains",
        question=f"Drain? Nothing starts any more, the daemon exits {when}; what waits is safe. z takes it back.",
        undo=(("resume", {}),),
        undone="the queue goes on",
    )


def outcome(deed: Deed, results: list[dict[str, Any]]) -> str:
    """In words, of what the daemon has answered to all calls. Raises Refused."""
    from trainqueue.cli.refusals import in_words

    for result in results:
        for answer in result.get("jobs") or ():
            if not answer["ok"]:
                raise Refused(in_words(answer["error"]["message"]))
            if answer.get("changed") is False:
                return f"job {answer['id']} was so already: nothing has changed"
    if deed.said:
        return deed.said
    moved = results[-1].get("job") or {}
    if moved.get("id") != deed.job:
        return f"job {deed.job} is one place further back"
    at = moved.get("position")
    return f"job {deed.job} has " + (f"position {at} now" if at else "another place; it has no position yet")
