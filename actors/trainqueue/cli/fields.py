"""The fields of a job, in one table: how each is written, shown and called, and what it means.

`submit`'s options, `--set`, the editor and `status` all look here, so that what one of them shows the others take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trainqueue.cli.forms import Duration, Gpus, Ids, Moment, Priority, Share, Size
from trainqueue.cli.wordforms import Choice, Flag, Folder, Group, Lane, Number, Pairs, Retries, Text, Umask, Words

if TYPE_CHECKING:
    from trainqueue.cli.forms import Form


class Field(NamedTuple):
    form: Form
    meaning: str = ""
    """In the editor, where it does not stand without one."""
    option: str = ""
    """Of `submit`, where that has another name; an empty one stands for the field's own."""
    idle: object = None
    """Its default, which says nothing to anybody while `of` is not set."""
    of: str = ""


VARIABLES = Pairs(r"[A-Za-z_]\w*", "OMP_NUM_THREADS=4", single=True)
"""One at a time: OPTS=-Da=1,b=2 is one."""
FIELDS: dict[str, Field] = {
    "name": Field(Text(), "for people"),
    "command": Field(Words(), "program and arguments", option="the command"),
    "cwd": Field(Folder(4095), "working folder"),
    "umask": Field(Umask(), 'of the files that it makes, in octal: "022"', option="umask"),
    "env": Field(VARIABLES),
    "env_extra": Field(VARIABLES, option="--env"),
    "gpus": Field(Number(0, 1024), "so many; 0: it needs none"),
    "gpu_memory": Field(Share(), 'to share its GPUs: of each "8GiB" or "auto"'),
    "gpu_from": Field(Gpus(), 'only these: indices or UUIDs, [0, 2] or ["GPU-8d3f"]', option="--gpu or --gpu-any"),
    "gpu_name": Field(Text(200), 'only with this in their name: "H100"'),
    "gpu_min_memory": Field(Size(), 'only with so much in all: "40GiB"'),
    "priority": Field(Priority(), '"low", "normal", "high" or a number; higher first'),
    "after": Field(Ids(), "starts after these have completed: [3, 4]"),
    "after_any": Field(Ids(), "starts after these have ended, however"),
    "after_failed": Field(Ids(), "starts after these have failed or are lost"),
    "after_group": Field(Group(), 'starts after all jobs of these groups have completed: ["sweep1"]'),
    "keep": Field(Flag(), "held, not cancelled, when one of those can no longer come true"),
    "not_before": Field(Moment(), '"18:00" (the next), "2h" or "2026-12-24 18:00"'),
    "hold": Field(Flag(), "not started until released"),
    "time_limit": Field(Duration(none=False), 'ended after so long: "4h"'),
    "grace": Field(Duration(), 'between SIGTERM and SIGKILL: "30s"'),
    "warn": Field(Duration(), 'SIGUSR1 so long before the time limit or a preemption: "5m"'),
    "retries": Field(Retries(), "how often after which cause: {exit = 2, reboot = 1}"),
    "retry_delay": Field(Duration(), 'before the first retry: "30s"'),
    "retry_backoff": Field(
        Number(1, 1000, parts=True), "each further one waits so many times as long", idle=1.0, of="retry_delay"
    ),
    "retry_place": Field(Choice("front", "back"), '"front" or "back" of its priority', idle="front", of="retries"),
    "resume_args": Field(Words(), "appended to the command from the second attempt on"),
    "stall_timeout": Field(Duration(), 'it counts as stalled after doing nothing for so long: "30m"; "0s": never'),
    "stall_action": Field(Choice("warn", "stop"), '"warn" or "stop"; without it what the settings say'),
    "memory_limit": Field(Size(), 'of the machine\'s memory: "32GiB"', option="--memory"),
    "tags": Field(Pairs(), 'for selecting: {set = "a"}', option="--tag"),
    "group": Field(Text(), "for selecting, and for what waits for all of it"),
    "max_running": Field(Number(1, 1_000_000), "so many jobs of its group run at a time"),
    "lane": Field(Lane(), "the named queue that it waits in"),
    "snapshot": Field(Text(4095), "the folder with the frozen copy of its code"),
}
ALIASES = {"memory": "memory_limit", "tag": "tags"}
"""Options of `submit` that are called otherwise than their fields."""


def form(field: str) -> Form:
    return FIELDS[field].form


def option(field: str) -> str:
    """Of `submit`, for this field."""
    return FIELDS[field].option or f"--{field.replace('_', '-')}"


def applies(field: str, job: dict[str, Any]) -> bool:
    """Whether it says anything of this job, as far as the table knows."""
    known = FIELDS.get(field)
    return known is None or not known.of or job[field] != known.idle or bool(job.get(known.of))


def default(field: str) -> Any:
    """What it is without a word about it. Raises ValueError where there must be one."""
    import msgspec

    from trainqueue.core.spec import JobSpec

    found = next(known for known in msgspec.structs.fields(JobSpec) if known.name == field)
    if found.required:
        msg = "a job cannot be without it"
        raise ValueError(msg)
    made = found.default_factory() if found.default is msgspec.NODEFAULT else found.default
    return [] if made == () else made
