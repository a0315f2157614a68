"""`gpus`: what there is, who is on it, and what keeps jobs from it; `--disable` and `--enable` change that."""

from __future__ import annotations

from typing import Any

import click

from trainqueue.cli import banner
from trainqueue.cli.common import as_json, client, show_json
from trainqueue.cli.forms import Gpus
from trainqueue.cli.given import refuse
from trainqueue.cli.screen import clean, table
from trainqueue.cli.watchoptions import watching
from trainqueue.core.words import number
from trainqueue.sizes import size

HEADS = ("GPU", "NAME", "MEMORY", "UTIL", "TEMP", "POWER", "JOBS", "STATE")
NAME = 1
UNTOLD = {"foreign": "used by nobody knows whom", "memory": "memory not back", "reserved": "kept for another job"}
"""What is shown of a verdict of which nothing else tells more."""
NOBODY_KNOWS = "No GPU is known yet; trainq-cli doctor says why."


@click.command()
@click.option("--disable", type=Gpus(), multiple=True, help="Start nothing more on these: 2, 0,2, 0-3 or GPU-8d3f.")
@click.option("--enable", type=Gpus(), multiple=True, help="Use these again, unhealthy ones as well.")
@watching
@as_json
def gpus(
    disable: tuple[list[int | str], ...],
    enable: tuple[list[int | str], ...],
    watch: bool,  # noqa: FBT001
    interval: float | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """The GPUs: who is on them, and whether a job may start there."""
    if watch:
        from trainqueue.cli import watched

        if disable or enable:
            refuse("--watch changes nothing: --disable and --enable are for another call")
        watched.gpus(interval, document=as_json)
        return
    wanted = {"disable": [gpu for some in disable for gpu in some], "enable": [gpu for some in enable for gpu in some]}
    both = next((gpu for gpu in wanted["disable"] if gpu in wanted["enable"]), None)
    if both is not None:
        msg = f"GPU {both} cannot be disabled and enabled at the same time"
        raise click.UsageError(msg)
    trainq = client()
    told = [trainq.call(op, gpus=named) for op, named in wanted.items() if named] or [trainq.call("gpus")]
    found = told[-1] | {"gpus": [gpu for some in told for gpu in some["gpus"]]}
    banner.look(trainq, document=as_json)
    if as_json:
        show_json(found)
    else:
        show(found)


def show(found: dict[str, Any]) -> None:
    """The table; where the driver is in trouble, what is wrong and what to do."""
    if found["gpus"]:
        table(HEADS, map(row, found["gpus"]), elastic=NAME)
        for gpu in found["gpus"]:
            if gpu.get("ignored"):
                click.secho(clean(let_pass(gpu)), dim=True, err=True)
    if found.get("trouble"):
        click.echo(clean(found["trouble"]))
    elif not found["gpus"]:
        click.echo(NOBODY_KNOWS)


def row(gpu: dict[str, Any]) -> tuple[object, ...]:
    """One that nobody has seen yet has no index and no name."""
    return (
        "-" if gpu["index"] is None else gpu["index"],
        gpu["name"].removeprefix("NVIDIA ").removeprefix("GeForce ") or gpu["id"],
        memory(gpu["memory_used"], gpu["memory_total"]),
        known(gpu["utilization"], "%"),
        known(gpu["temperature"], "°C"),
        known(gpu["power"], " W"),
        ",".join(map(str, gpu["jobs"])) or "-",
        state(gpu),
    )


def known(value: float | None, unit: str) -> str:
    """What the driver does not tell is shown as a dash."""
    return "-" if value is None else f"{value:.0f}{unit}"


def memory(used: int | None, total: int | None) -> str:
    if used is None and total is None:
        return "-"
    return f"{known_gib(used)}/{known_gib(total)} GiB"


def known_gib(count: int | None) -> str:
    return "-" if count is None else f"{count / 2**30:.1f}"


def state(gpu: dict[str, Any]) -> str:
    """What a job would meet there, the worst first; by the names of the daemon's verdict (`use`), which is among them.

    A daemon of before says no verdict.
    """
    found = {
        "disabled": None if gpu.get("enabled", True) else "disabled",
        "unhealthy": None if gpu["healthy"] else unhealthy(gpu),
        "held": f"job {', '.join(map(str, gpu['jobs']))}" if gpu["jobs"] else None,
        "foreign": used(gpu["foreign"]),
        "memory": awaited(gpu) if gpu["healthy"] and gpu.get("waiting_for_memory") else None,
        "reserved": f"kept for job {gpu['kept_for']}" if gpu.get("kept_for") is not None else None,
    }
    use = gpu.get("use", "free")
    if use != "free" and found.get(use) is None:
        found[use] = gpu["why"] or UNTOLD.get(use, use)
    return "; ".join(part for part in found.values() if part is not None) or "free"


def awaited(gpu: dict[str, Any]) -> str:
    """What has to come back, or be accepted."""
    return str(gpu["why"]) if gpu.get("use") == "memory" and gpu["why"] else UNTOLD["memory"]


def label(gpu: dict[str, Any]) -> str:
    """GPU 0, as people say it, of what the wire tells of one."""
    return gpu["id"] if gpu["index"] is None or gpu["id"].startswith("cpu:") else f"GPU {gpu['index']}"


def unhealthy(gpu: dict[str, Any]) -> str:
    """With the daemon's sentence, which names the GPU once more."""
    why = (gpu["why"] or "").removeprefix(f"{label(gpu)}: ").removeprefix(f"{label(gpu)} ")
    return f"unhealthy: {why}" if why else "unhealthy"


def program(command: str | None) -> str | None:
    """The name by which `ignore_commands` knows it, of a whole command line."""
    return command and command.partition(" ")[0].rpartition("/")[2].rstrip(":")


def used(processes: list[dict[str, Any]]) -> str | None:
    """By whom, other than our jobs: the one with the most memory, and how many more."""
    if not processes:
        return None
    largest, *others = sorted(processes, key=lambda process: -(process["memory"] or 0))
    facts = ", ".join([f"pid {largest['pid']}", *([size(largest["memory"])] if largest["memory"] else [])])
    told = [word for word in (largest["user"], program(largest["command"])) if word]
    return f"used by {': '.join(told) or 'somebody'} ({facts})" + (
        f" and {number(len(others), 'other')}" if others else ""
    )


def let_pass(gpu: dict[str, Any]) -> str:
    """Who is on it and in nobody's way, since the settings say so: each program once, and what they use together."""
    programs = dict.fromkeys(program(one["command"]) or one["user"] or f"pid {one['pid']}" for one in gpu["ignored"])
    used = sum(one["memory"] or 0 for one in gpu["ignored"])
    return f"ignored on {label(gpu)}: {', '.join(programs)}" + (f" ({size(used)})" if used else "")
