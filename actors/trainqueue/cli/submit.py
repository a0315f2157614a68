"""`submit` and `run`."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from trainqueue.cli.common import INTERRUPTED, Duration, Ids, as_json, client, flat, show_json
from trainqueue.home import current_umask

OPTIONS = [
    click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED),
    click.option("--name", help="A name for people."),
    click.option("--cwd", default=".", help="Working folder (default: this one)."),
    click.option("--gpus", type=click.IntRange(0, 1024), default=1, help="GPUs it needs; 0 = none."),
    click.option("--priority", help="low, normal, high or a number; higher first."),
    click.option("--after", type=Ids(), multiple=True, help="Start after these have completed."),
    click.option("--after-any", type=Ids(), multiple=True, help="Start after these have ended."),
    click.option("--hold", is_flag=True, help="Do not start until released."),
    click.option("--time-limit", type=Duration(), help="End it after this long: 90s, 30m, 4h."),
    click.option("--grace", type=Duration(), help="Between SIGTERM and SIGKILL."),
    click.option("--warn", type=Duration(), help="SIGUSR1 this long before the time limit."),
    click.option("--tag", multiple=True, help="KEY=VALUE; may be repeated."),
    click.option("--group", help="A group for selecting."),
    click.option("--env", multiple=True, help="KEY=VALUE on top of this environment."),
    click.option("--no-start", is_flag=True, help="Do not start a daemon if none runs."),
    as_json,
]


def with_options(function: Any) -> Any:
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    for text in texts:
        if not text.partition("=")[0] or "=" not in text:
            msg = f"{text!r} is not KEY=VALUE"
            raise click.BadParameter(msg, param_hint=option)
    return dict(text.split("=", 1) for text in texts)


def queue_it(fields: dict[str, Any]) -> dict[str, Any]:
    from trainqueue.cli.daemon import ensure

    priority = fields.pop("priority")
    if priority is not None:
        fields["priority"] = int(priority) if priority.lstrip("-").isdigit() else priority
    fields["tags"] = pairs(fields.pop("tag"), "--tag")
    fields["env"] = {**os.environ, **pairs(fields.pop("env"), "--env")}
    fields["umask"] = current_umask()
    fields["cwd"] = os.path.abspath(fields["cwd"])  # noqa: PTH100  (must not follow links)
    fields["after"], fields["after_any"] = flat(fields["after"]), flat(fields["after_any"])
    fields["env"] = {key: value for key, value in fields["env"].items() if encodable(key + value)}
    if not fields.pop("no_start"):
        ensure()
    spec = {key: value for key, value in fields.items() if value is not None}
    return client().submit([spec])[0]


def encodable(text: str) -> bool:
    """MessagePack text is UTF-8; a variable in another encoding is left out."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@with_options
def submit(as_json: bool, **fields: Any) -> None:  # noqa: FBT001
    """Queue a job and print its id."""
    made = queue_it(fields)
    if as_json:
        show_json(made)
    elif sys.stdout.isatty():
        place = f" (position: {made['position']})" if made["position"] else ""
        click.echo(f"{made['id']}\t{made['state']}{place}")
    else:
        click.echo(made["id"])


@click.command(context_settings={"allow_interspersed_args": False})
@with_options
def run(as_json: bool, **fields: Any) -> int:  # noqa: FBT001
    """Queue a job, follow its log, exit with its exit code. Ctrl-C asks whether to cancel or detach."""
    from trainqueue.cli.follow import stream

    made = queue_it(fields)
    if as_json:
        show_json(made)
    else:
        click.echo(f"trainq: job {made['id']} is {made['state']}", err=True)
    trainq = client()
    while True:
        try:
            stream(trainq, made["id"])
            return trainq.wait([made["id"]])[0].status
        except KeyboardInterrupt:
            if not sys.stdin.isatty() or not click.confirm(f"\nCancel job {made['id']}? (no: it runs on)", err=True):
                click.echo(f"detached; follow it with: trainq-cli logs -f {made['id']}", err=True)
                return INTERRUPTED
            trainq.cancel([made["id"]])
