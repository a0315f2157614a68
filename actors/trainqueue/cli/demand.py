"""The GPUs that a job asks for, as options of `submit` and `run`; what contradicts itself is wrong usage."""

from __future__ import annotations

from typing import Any

import click

from trainqueue.cli.fields import form
from trainqueue.cli.forms import Gpus
from trainqueue.cli.given import refuse

GPU_OPTIONS = [
    click.option("--gpus", metavar="N", type=form("gpus"), help="GPUs it needs; 0 = none (default: 1)."),
    click.option("--gpu", "these", type=Gpus(), help="Exactly these: 0,2 or GPU-8d3f (the beginning of a UUID)."),
    click.option("--gpu-any", "among", type=Gpus(), help="Any of these; as many as --gpus says."),
    click.option("--gpu-name", type=form("gpu_name"), help="Only GPUs with this in their name: H100."),
    click.option("--gpu-min-memory", type=form("gpu_min_memory"), help="Only GPUs with so much memory in all: 40GiB."),
    click.option(
        "--gpu-memory",
        type=form("gpu_memory"),
        help="Share its GPUs with others that say so, too; it uses so much of each: 8GiB, or auto: "
        "as much as the last runs of the same command did.",
    ),
]
ASKED = {
    "these": "--gpu",
    "among": "--gpu-any",
    "gpu_name": "--gpu-name",
    "gpu_min_memory": "--gpu-min-memory",
    "gpu_memory": "--gpu-memory",
}
"""What makes no sense for a job that needs no GPU."""


def demanded(fields: dict[str, Any]) -> dict[str, Any]:
    """The options' values as JobSpec's `gpus`, `gpu_from` and so on. Raises UsageError."""
    found = {**fields}
    count, these, among = found["gpus"], found.pop("these"), found.pop("among")
    given = next((option for name, option in ASKED.items() if fields[name] is not None), None)
    if count == 0 and given is not None:
        refuse(f"--gpus 0 asks for no GPU, and {given} for one")
    if found["gpu_name"] == "":
        refuse("--gpu-name is an empty text")
    if these is not None:
        if among is not None:
            refuse("--gpu names exactly the GPUs to use, --gpu-any those to choose from: give one of the two")
        if count not in {None, len(these)}:
            refuse(f"--gpu names {len(these)} and --gpus asks for {count}")
        return found | {"gpus": len(these), "gpu_from": these}
    if among is not None and (count or 1) > len(among):
        refuse(f"--gpus asks for {count} and --gpu-any names {len(among)} to choose from")
    return found | {"gpu_from": among}
