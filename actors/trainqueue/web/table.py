"""Every route, once: app.py lets them answer, openapi.py describes them. Light, since each gateway loads it: the shapes
of the answers stand here by their names in shapes.py, which only the description needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trainqueue import wire
from trainqueue.web.queries import MOST, EndStates, Flag, Number, Tags, Text

if TYPE_CHECKING:
    from trainqueue.web.queries import Parameter


class Read(NamedTuple):
    """`answer`: a shape of shapes.py, or a type of content."""

    summary: str
    answer: str
    query: tuple[Parameter, ...] = ()


class Change(NamedTuple):
    """A POST, whose body is the wire's request."""

    summary: str
    request: type[wire.Request]
    answer: str


ATTEMPT = Number("attempt", "which attempt's; the newest where it is not given", 1, 2**31)
READS = {
    "/queue": Read(
        "What runs and what waits, in start order",
        "QueuePage",
        (
            Number("limit", "so many waiting jobs; 1,000 unless told", 1, 10_000),
            Number("offset", "of the waiting ones"),
        ),
    ),
    "/status/{job}": Read("One job, with its attempts", "Status"),
    "/env/{job}": Read("A job's environment, secrets masked", "Environment"),
    "/series/{job}": Read("Metrics over time", "Series", (ATTEMPT,)),
    "/history": Read(
        "Ended jobs, newest first",
        "History",
        (
            EndStates("states", "some of completed, failed, cancelled, lost, with commas between"),
            Text("name", "with * for any characters"),
            Text("group", "of this group"),
            Tags("tag", "KEY=VALUE; may be given several times"),
            Number("limit", "so many jobs; 100 unless told", 1, 10_000),
            Number("before", "jobs with a lower id: the next page", 1),
        ),
    ),
    "/logs/{job}": Read(
        "A job's output; a header Range is obeyed",
        "text/plain",
        (
            ATTEMPT,
            Number("offset", "in bytes; from the end where it is negative", -MOST),
            Number("limit", "bytes"),
            Flag("download", "to be saved as a file"),
        ),
    ),
    "/events": Read(
        "Server-sent events: `snapshot`, then `delta`, and `ping` when nothing happens",
        "text/event-stream",
        (Number("log", "the output of this job as well", 1), ATTEMPT),
    ),
    "/gpus": Read("The GPUs, who is on them, and whether a job may start there", "Gpus"),
    "/stats": Read("Counts, and GPU seconds used, waited and lost", "application/json"),
    "/lanes": Read("Named queues", "Lanes"),
}
EACH = {
    "cancel": Change("Cancel waiting or running jobs", wire.Cancel, "Answers"),
    "hold": Change("Keep waiting jobs from starting", wire.Hold, "Answers"),
    "release": Change("Let held jobs start", wire.Release, "Answers"),
    "retry": Change("Queue ended jobs again, as a new attempt", wire.Retry, "Answers"),
    "copy": Change("New jobs with the specs of others", wire.Copy, "MadeJobs"),
    "signal": Change("Send a signal to running jobs", wire.Signal, "Answers"),
    "suspend": Change("Stop running jobs where they are", wire.Suspend, "Answers"),
    "continue": Change("Let suspended jobs run on", wire.Continue, "Answers"),
    "preempt": Change("Put running jobs back into the line, after a warning", wire.Preempt, "Answers"),
    "move": Change("Give waiting jobs another place", wire.Move, "OneJob"),
    "edit": Change("Change fields of waiting jobs", wire.Edit, "OneJob"),
}
"""Of one job (`/cancel/7`) or of several (`/cancel`, with `jobs` in the body)."""
WHOLE = {
    "pause": Change("Start nothing until resumed", wire.Pause, "Mode"),
    "resume": Change("End pause and drain", wire.Resume, "Mode"),
    "drain": Change("Start nothing, and exit when the last running job ends", wire.Drain, "Mode"),
    "gpus/enable": Change("Start jobs on these GPUs again", wire.Enable, "Gpus"),
    "gpus/disable": Change("Start nothing more on these GPUs", wire.Disable, "Gpus"),
}
"""Of the queue or its GPUs."""
