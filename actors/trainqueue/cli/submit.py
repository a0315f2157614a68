"""`submit` and `run`."""

from __future__ import annotations

import os
import select
import signal
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trainqueue import capture
from trainqueue.cli import banner, expected, program
from trainqueue.cli.awaits import AWAIT_OPTIONS, awaited
from trainqueue.cli.common import INTERRUPTED, as_json, client, complain, ending, filled, outlast, show_json
from trainqueue.cli.demand import GPU_OPTIONS, demanded
from trainqueue.cli.directives import Scripted
from trainqueue.cli.env import ENV_OPTIONS, environment
from trainqueue.cli.factors import SWEEP_OPTIONS
from trainqueue.cli.fields import form
from trainqueue.cli.forms import Pair
from trainqueue.cli.given import refuse, refuse_odd
from trainqueue.cli.lane import LANE_OPTIONS, check_group
from trainqueue.cli.offers import files, folders, known
from trainqueue.cli.retries import RETRY_OPTIONS, words
from trainqueue.cli.screen import clean
from trainqueue.cli.stalls import STALL_OPTIONS
from trainqueue.cli.watchoptions import no_bar
from trainqueue.core.words import DEFAULT_LANE
from trainqueue.home import Home, current_umask

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainqueue.client import Client
    from trainqueue.jobinfo import Job
    from trainqueue.tail import Tail

T = TypeVar("T")
OPTIONS = [
    click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD…", shell_complete=files),
    click.option("--name", type=form("name"), help="A name for people."),
    click.option("--cwd", default=".", shell_complete=folders, help="Working folder (default: this one)."),
    *GPU_OPTIONS,
    click.option("--priority", type=form("priority"), help="low, normal, high or a number; higher first."),
    *AWAIT_OPTIONS,
    click.option(
        "--not-before", type=form("not_before"), help="18:00 (the next), 2h (from now), or '2026-12-24 18:00'."
    ),
    click.option("--hold", is_flag=True, help="Do not start until released."),
    click.option("--time-limit", type=form("time_limit"), help="End it after this long: 90s, 30m, 4h, 1h30m."),
    click.option("--grace", type=form("grace"), help="Between SIGTERM and SIGKILL."),
    click.option("--warn", type=form("warn"), help="SIGUSR1 so long before the time limit and a preemption."),
    *STALL_OPTIONS,
    click.option(
        "--memory", "memory_limit", type=form("memory_limit"), help="Of the machine, for all its processes: 32GiB."
    ),
    *RETRY_OPTIONS,
    click.option("--tag", "tags", type=Pair(), multiple=True, help="For selecting; may be repeated."),
    click.option("--group", type=form("group"), shell_complete=known, help="A group for selecting."),
    *LANE_OPTIONS,
    *ENV_OPTIONS,
    click.option("--snapshot", is_flag=True, help="Freeze the code: run in a copy of what git does not ignore here."),
    click.option("--no-start", is_flag=True, help="Do not start a daemon if none runs."),
    as_json,
]


OWN = ("array", "sweep", "from_csv", "zipped", "dry_run")
"""Options of `submit` alone; `run` knows them to say what to do instead."""
NOT_GIVEN = (None, (), False)


def with_options(options: list[Any]) -> Callable[[T], T]:
    def decorated(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorated


def hidden(option: Any) -> Any:
    """The same option, but not in the help."""

    def decorated(function: Any) -> Any:
        made: Any = option(function)
        made.__click_params__[-1].hidden = True
        return made

    return decorated


def specification(fields: dict[str, Any]) -> dict[str, Any]:
    """The JobSpec; only what was given, so that the daemon's defaults hold."""
    check_usage(fields)
    check_group(fields)
    fields = dict(fields)
    env = environment(fields)
    return filled(
        **demanded(fields)
        | awaited(fields)
        | {
            "tags": dict(fields["tags"]),
            "resume_args": words(fields["resume_args"]),
            "env": env,
            "umask": current_umask(),
            "cwd": (cwd := absolute(fields["cwd"])),
            "snapshot": surrounding(cwd),
        }
    )


def surrounding(cwd: str) -> str | None:
    """The snapshot that a job runs in and submits others from."""
    if "TRAINQ_SNAPSHOT" not in os.environ:
        return None
    from trainqueue.frozen.kept import around

    return around(Home.find(click.get_current_context().find_root().obj), cwd)


def check_usage(fields: dict[str, Any]) -> None:
    """What the wire cannot carry or the daemon must refuse is wrong usage. Raises UsageError."""
    pairs = [text for pair in (*fields["tags"], *fields["env"]) for text in pair]
    names = [fields[name] or "" for name in ("name", "group", "gpu_name", "lane")]
    for text in (*fields["command"], *pairs, fields["cwd"], *fields["after_group"], *names):
        refuse_odd(text)
    if fields["name"] == "":
        refuse("--name is empty; without it the job is called by its command")
    if not fields["command"][0]:
        refuse("the command's program is an empty text")
    if None not in (fields["warn"], fields["time_limit"]) and fields["warn"] >= fields["time_limit"]:
        refuse("--warn must be shorter than --time-limit: it says how long before its end")


def absolute(path: str) -> str:
    try:
        found = capture.folder(path)
    except FileNotFoundError:
        refuse("the folder that you are in does not exist any more; change to another, or use --cwd")
    refuse_odd(found, "the working folder ")
    return found


def queue_it(fields: dict[str, Any]) -> dict[str, Any]:
    from trainqueue.cli.daemon import ensure

    start = not fields.pop("no_start")
    spec = specification(fields)
    program.check([spec], {})
    if start:
        ensure()
    trainq = client()
    if fields["snapshot"]:
        from trainqueue.cli.snapshot import frozen

        with frozen(trainq, [spec], {}):
            return trainq.submit([spec])[0]
    return trainq.submit([spec])[0]


def place(trainq: Client, made: dict[str, Any]) -> str:
    """Where a fresh job stands: its position and what its GPUs lack, or why it has none."""
    if made["position"]:
        job = trainq.status(made["id"])
        return f"{made['state']} (position: {made['position']})" + (lack(job) or expected.soon(job))
    if made["state"] not in {"queued", "cancelled"}:
        return str(made["state"])
    job = trainq.status(made["id"])
    why = job.why or job.message or job.cause
    return f"{job.state} ({why})" if why else job.state


def guess(trainq: Client, made: dict[str, Any], fields: dict[str, Any]) -> str:
    """Who asks for "auto" expects a share: the first run of a command gets none, since nobody knows yet how much."""
    if fields["gpu_memory"] != "auto":
        return ""
    job = trainq.status(made["id"])
    if job.ended or job.gpu_share is not None:
        return ""
    return "; no earlier run tells how much memory it needs, so it gets whole GPUs this time"


def lack(job: Job) -> str:
    """What is wrong with the GPUs that it waits for, if it is more than its turn that it waits for."""
    return f": {job.why}" if (job.why_code or "").startswith("gpu-") else ""


def say_if_hopeless(trainq: Client, made: dict[str, Any]) -> None:
    """A script that gets an id believes that the job will run: tell it where nothing will start the job."""
    job = trainq.status(made["id"])
    if job.state == "cancelled" or job.why_code == "gpu-count":
        complain(f"job {job.id} is {place(trainq, made)}")


@click.command(cls=Scripted, context_settings={"allow_interspersed_args": False})
@with_options([*OPTIONS, *SWEEP_OPTIONS])
def submit(as_json: bool, **fields: Any) -> None:  # noqa: FBT001
    """Queue a job and print its id; with --array, --sweep or --from-csv as many as these ask for, all or none.

    Without the -- a script of this folder, with the options of its #TRAINQ lines: submit train.sh [ARGS]
    """
    several = {name: fields.pop(name) for name in OWN}
    if any(value not in NOT_GIVEN for value in several.values()):
        from trainqueue.cli import several as many

        many.submit(fields, several, as_json=as_json)
        return
    made = queue_it(fields)
    if as_json:
        show_json(made)
    elif sys.stdout.isatty():
        trainq = client()
        click.echo(f"{made['id']}\t{clean(place(trainq, made) + guess(trainq, made, fields))}")
    else:
        click.echo(made["id"])
        if made["state"] in {"queued", "cancelled"} and not made["position"]:
            say_if_hopeless(client(), made)
    if made["state"] == "queued":
        banner.look(client(), document=as_json, lanes={fields["lane"] or DEFAULT_LANE})


@click.command(cls=Scripted, context_settings={"allow_interspersed_args": False})
@with_options([*OPTIONS, *map(hidden, SWEEP_OPTIONS), no_bar])
def run(as_json: bool, no_bar: bool, **fields: Any) -> int:  # noqa: FBT001
    """Queue a job, follow its log, exit with its exit code. Ctrl-C asks whether to cancel or detach."""
    several = {name: fields.pop(name) for name in OWN}
    if any(value not in NOT_GIVEN for value in several.values()):
        refuse("run follows one job; of sweeps and --dry-run: submit --group NAME …, and then wait --group NAME")
    from trainqueue.cli.follow import Documents, Raw
    from trainqueue.tail import Tail

    made, trainq = queue_it(fields), client()
    if as_json:
        show_json(made)
    else:
        complain(f"job {made['id']} is {place(trainq, made)}{guess(trainq, made, fields)}")
        banner.look(trainq, lanes={fields["lane"] or DEFAULT_LANE})
    tail = Tail(trainq, made["id"], attempt=1)
    try:
        job = to_the_end(tail, (Documents(tail) if as_json else Raw(tail, bar=not no_bar)).show)
    except KeyboardInterrupt:  # once more, while the first one was dealt with
        job = None
    if job is None:
        complain(f"detached: job {made['id']} goes on; follow it with: trainq-cli logs -f {made['id']}")
        return INTERRUPTED
    if as_json:
        import msgspec

        show_json(msgspec.to_builtins(job))
    elif job.state != "completed":
        complain(ending(job))
    return job.status


def to_the_end(tail: Tail, show: Callable[[dict[str, Any]], None]) -> Job | None:
    """The ended job, its output shown; None when the person at the terminal would rather detach."""
    from trainqueue.cli.follow import follow_log

    cancel = False
    while True:
        try:
            if cancel:
                tail.client.cancel([tail.job])
            follow_log(tail, show)
            return outlast(tail.client, lambda: tail.client.wait([tail.job])[0])
        except KeyboardInterrupt:
            if cancel or not wants_cancel(tail.job):
                return None
            cancel = True


CANCEL, DETACH = frozenset({"y", "yes", "c", "cancel"}), frozenset({"", "n", "no", "d", "detach"})
"""What people say to the question."""


def wants_cancel(job: int) -> bool:
    """Ask, where there is somebody to ask; a second Ctrl-C and the end of the input mean no."""
    if not sys.stdin.isatty():
        return False
    try:
        click.echo(err=True)
        while True:
            click.echo(f"Cancel job {job}? (no, or d: it goes on, and you detach) [y/N/d]: ", nl=False, err=True)
            said = answer().strip().lower()
            if said in CANCEL or said in DETACH:
                return said in CANCEL
    except KeyboardInterrupt:
        click.echo(err=True)
        return False


def answer() -> str:
    """A line from the terminal. Not by `input`: a Ctrl-C just before its read would not end it."""
    woken, waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = signal.set_wakeup_fd(waking)
    try:
        while sys.stdin not in select.select([sys.stdin, woken], [], [])[0]:
            os.read(woken, 64)  # some other signal
        return sys.stdin.readline()
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(waking)
