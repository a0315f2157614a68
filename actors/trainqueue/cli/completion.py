"""Completion in the shell: `completion bash|zsh|fish` prints the script; ids, names and so on are asked for.

The shell runs us at each Tab, so all of it ends after DEADLINE, whatever the daemon does, and says nothing of errors.
"""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, Any

import click

from trainqueue.cli.screen import clean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VARIABLE = "_TRAINQ_CLI_COMPLETE"
DEADLINE = 0.25
"""Seconds from our start; the interpreter's own comes on top. A person waits 0.3 at most."""
PATIENCE = 0.12
"""Seconds for each answer of the daemon."""
NEWEST = 200
"""Jobs that are looked at, the newest: who has more types more."""
LIVING, ENDED = ("queued", "pending", "running"), ("completed", "failed", "cancelled", "lost")
PLAIN = re.compile(r"[\w@%+=:./-]+")
"""What every shell takes for one word: bash would split the others, or take them for patterns."""
STATES = {
    **dict.fromkeys(("hold", "release", "move", "edit"), ("queued",)),
    **dict.fromkeys(("signal", "suspend", "continue", "preempt"), ("running",)),
    **dict.fromkeys(("cancel", "wait"), LIVING),
    **dict.fromkeys(("retry", "history"), ENDED),
}
INSTALL = {
    "bash": 'put this into ~/.bashrc:  eval "$(trainq-cli completion bash)"',
    "zsh": 'put this into ~/.zshrc, behind compinit:  eval "$(trainq-cli completion zsh)"',
    "fish": "trainq-cli completion fish > ~/.config/fish/completions/trainq-cli.fish",
}


def end(_number: int, _frame: object) -> None:
    os._exit(0)


def arm() -> None:
    """From here on so long and no longer: the shell waits."""
    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE)


@click.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes a shell complete commands, options, ids and names."""
    from click.shell_completion import ShellComplete, get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    made = found(click.get_current_context().find_root().command, {}, "trainq-cli", VARIABLE)
    click.echo(f"# To install: {INSTALL[shell]}\n{ShellComplete.source(made).strip()}")


def newest(context: click.Context, states: tuple[str, ...] | None = None) -> list[dict[str, Any]]:
    """The newest jobs; none where nobody answers in time."""
    from trainqueue.client import Client

    try:
        with Client(context.find_root().params.get("home"), timeout=PATIENCE) as trainq:
            wanted: dict[str, Any] = {} if states is None else {"states": states}
            found: list[dict[str, Any]] = trainq.call("jobs", limit=NEWEST, **wanted)["jobs"]
            return found
    except Exception:  # noqa: BLE001  (nobody wants a traceback in the middle of a command line)
        return []


def of_ids(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Those that the command can be used on; behind `3,` and `3-` the next one."""
    from click.shell_completion import CompletionItem

    head = re.match(r".*[,-]|", incomplete)
    before = head[0] if head is not None else ""
    jobs = newest(context, STATES.get(context.info_name or ""))
    return [
        CompletionItem(before + str(job["id"]), help=f"{clean(job['name'])} ({job['state']})")
        for job in jobs
        if str(job["id"]).startswith(incomplete[len(before) :])
    ]


def texts(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What jobs have of the option's name: names, groups, tags, lanes."""
    from click.shell_completion import CompletionItem

    found: dict[str, None] = {}
    name = (parameter.name or "").removeprefix("after_")
    for job in newest(context):
        if name in {"tag", "tags"}:
            found |= dict.fromkeys(f"{key}={value}" for key, value in job["tags"].items())
        else:
            found[job[name] or ""] = None
    if name == "lane":
        found |= dict.fromkeys(lanes(context))
    return [CompletionItem(text) for text in sorted(found) if text.startswith(incomplete) and PLAIN.fullmatch(text)]


def lanes(context: click.Context) -> list[str]:
    from trainqueue.client import Client

    try:
        with Client(context.find_root().params.get("home"), timeout=PATIENCE) as trainq:
            return [lane["name"] for lane in trainq.call("lanes")["lanes"]]
    except Exception:  # noqa: BLE001  (as above)
        return []
