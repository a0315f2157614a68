"""`lane`: the named queues, how much each may hold, and which are paused; its options change that."""

from __future__ import annotations

from typing import Any

import click

from trainqueue.cli.common import as_json, client, complain, filled, show_json
from trainqueue.cli.fields import form
from trainqueue.cli.forms import Form
from trainqueue.cli.given import refuse
from trainqueue.cli.offers import known
from trainqueue.cli.screen import clean, clock, table
from trainqueue.core.words import number
from trainqueue.errors import RequestError

HEADS = ("LANE", "GPUS", "RUNNING", "WAITING", "STATE")
LANE_OPTIONS = [
    click.option(
        "--max-running",
        metavar="N",
        type=form("max_running"),
        help="At most so many jobs of its group run at a time.",
    ),
    click.option(
        "--lane",
        shell_complete=known,
        metavar="LANE",
        type=form("lane"),
        help="The queue it waits in; trainq-cli lane shows them.",
    ),
]


class Bound(Form):
    """`2`, or `none`."""

    name = "gpus"

    def read(self, text: str) -> int | None:
        if text == "none":
            return None
        if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= 1024:
            msg = f"{text!r} is no number of GPUs: give 1 to 1024, or none for no bound"
            raise ValueError(msg)
        return int(text)


@click.command()
@click.argument("name", metavar="[LANE]", required=False, type=form("lane"))
@click.option("--gpus", metavar="N|none", type=Bound(), default=..., help="So many at most for its jobs together.")
@click.option("--pause", is_flag=True, help="Start none of its jobs; what runs runs on.")
@click.option("--resume", is_flag=True, help="End that.")
@click.option("--remove", is_flag=True, help="It must be empty, and not stand in the settings.")
@as_json
def lane(name: str | None, as_json: bool, **wishes: Any) -> None:  # noqa: FBT001
    """All lanes, or one; with options it is changed, and made where there is none of that name."""
    wished = wishes_of(name, wishes)
    trainq = client()
    there = trainq.lanes()
    if name is None:
        from trainqueue.cli import banner

        show(there, {"lanes": there}, document=as_json)
        banner.look(trainq, document=as_json)
        return
    known = [one for one in there if one["name"] == name]
    if not known and (not wished or wished == {"paused": False}):
        raise RequestError("not-found", missing(name, there))
    made = trainq.lane(name, **wished) if wished else known[0]
    if not known and made is not None:
        complain(f"lane {name} is new")
    show([] if made is None else [made], {"lane": made}, document=as_json, removed=name)


def show(lanes: list[dict[str, Any]], told: dict[str, Any], *, document: bool, removed: str = "") -> None:
    """`told` is what a program reads."""
    if document:
        show_json(told)
    elif lanes:
        table(HEADS, map(row, lanes))
    else:
        click.echo(f"{removed}\tremoved")


def missing(name: str, there: list[dict[str, Any]]) -> str:
    names = ", ".join(one["name"] for one in there)
    return f"there is no lane {name}; there are: {names}. trainq-cli lane {name} --gpus N makes one"


def wishes_of(name: str | None, wishes: dict[str, Any]) -> dict[str, Any]:
    """Fields of the op `lane`. Raises UsageError."""
    given = {option for option in ("pause", "resume", "remove") if wishes[option]}
    bound = {} if wishes["gpus"] is ... else {"gpus": wishes["gpus"]}
    if name is None and (given or bound):
        refuse("which lane? Name it: trainq-cli lane debug --gpus 1")
    if len(given) > 1 or ("remove" in given and bound):
        refuse("--pause, --resume and --remove exclude each other, and --remove everything else")
    paused = {"pause": True, "resume": False}.get(next(iter(given), ""))
    return bound | filled(paused=paused, remove=wishes["remove"] or None)


def row(lane: dict[str, Any]) -> tuple[object, ...]:
    held = lane["held"] if lane["gpus"] is None else f"{lane['held']} of {lane['gpus']}"
    state = "PAUSED" if lane["paused"] else "open"
    return (lane["name"], held, lane["running"], lane["waiting"], state)


def banners(found: dict[str, Any]) -> list[str]:
    """A sentence for each paused lane of what `queue` tells; a daemon of before tells nothing of lanes."""
    return [clean(paused(lane)) for lane in found.get("lanes") or () if lane["paused"]]


def paused(lane: dict[str, Any]) -> str:
    name = lane["name"]
    return f"Lane {name} is PAUSED{since(lane)}: {standing(lane)}. trainq-cli lane {name} --resume ends it."


def since(lane: dict[str, Any]) -> str:
    """Nothing where nobody knows: the settings have paused it, or it was said to a daemon of before."""
    at = lane.get("paused_since")
    return "" if at is None else f" since {clock(at)}"


def standing(lane: dict[str, Any]) -> str:
    if not lane["waiting"]:
        return "nothing starts in it"
    return f"{number(lane['waiting'], 'job')} wait{'s' if lane['waiting'] == 1 else ''} in it, and nothing starts"


def happened(event: dict[str, Any]) -> str:
    """A lane's event in words."""
    if event["removed"]:
        return f"lane {event['name']} removed"
    bound = "" if event["gpus"] is None else f", at most {number(event['gpus'], 'GPU')}"
    return f"lane {event['name']} {'paused' if event['paused'] else 'open'}{bound}"


def check_group(fields: dict[str, Any]) -> None:
    """Raises UsageError where a bound is given and there is no group that it could be of."""
    if fields.get("max_running") is not None and fields.get("group") is None:
        refuse("--max-running is of a group: name one with --group")
