"""Which jobs a verb takes: ids and ranges, and what they must have besides, all of it together (AND).

Who names ids wants an answer for each of them, so they go to the daemon as they are. Who filters wants those that the
verb can act on: the others are no error, they are left out.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable  # noqa: TC003  (a dataclass's field)
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from trainqueue import user
from trainqueue.cli.common import filled, flat
from trainqueue.cli.forms import Ids, Pair
from trainqueue.cli.given import refuse
from trainqueue.cli.offers import known
from trainqueue.core.words import DEFAULT_LANE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainqueue.client import Client

WAITING = ("queued",)
RUNNING = ("running",)
STARTED = ("pending", *RUNNING)
LIVING = (*WAITING, *STARTED)
ENDED = ("completed", "failed", "cancelled", "lost")
STATES = (*LIVING, *ENDED)
PAGE = 1000
"""Jobs in one request: the daemon does nothing else while it answers, some 30 ms for so many."""


@dataclass(frozen=True, slots=True)
class Selection:
    """`ids` as given, without those named twice; nothing else is set where no option was given."""

    ids: list[int]
    name: str | None = None
    tag: dict[str, str] | None = None
    group: str | None = None
    lane: str | None = None
    states: tuple[str, ...] = ()
    mine: bool = False
    everything: bool = False

    @property
    def filtered(self) -> bool:
        return self.described or bool(self.states or self.mine or self.everything)

    @property
    def described(self) -> bool:
        """By something that belongs to the jobs themselves, whatever becomes of them."""
        return any(wish is not None for wish in (self.name, self.tag, self.group, self.lane))

    @property
    def named(self) -> bool:
        """It means certain jobs, which ought to be there, and not whatever there is."""
        return self.described or bool(self.ids)

    @property
    def by_the_daemon(self) -> bool:
        """Whether it finds exactly these by itself, and nothing is left to `matches`."""
        return self.lane is None and not self.mine and not is_glob(self.name or "")

    def of(self, ids: list[int]) -> Selection:
        """These alone, of what it selects."""
        return dataclasses.replace(self, ids=ids)

    def matches(self, job: dict[str, Any]) -> bool:
        """What the daemon does not look for: what it does look for stands in `asked`."""
        return (
            (not is_glob(name := self.name or "") or job["name"] == name or fnmatchcase(job["name"], name))
            and (self.lane is None or (job["lane"] or DEFAULT_LANE) == self.lane)
            and (not self.mine or job["user"] == user.name())
        )

    def asked(self, states: Sequence[str]) -> dict[str, Any]:
        """What the daemon can look for, as the fields of the op `jobs`."""
        name = None if is_glob(self.name or "") else self.name
        found = filled(name=name, tag=self.tag, group=self.group, jobs=self.ids or None)
        return found | ({} if set(states) == set(STATES) else {"states": [*states]})


def is_glob(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")


FILTERS = [
    click.option(
        "--name",
        metavar="NAME",
        shell_complete=known,
        multiple=True,
        help="Only those with this name; lr-* and the like take several.",
    ),
    click.option(
        "--tag",
        metavar="KEY=VALUE",
        shell_complete=known,
        type=Pair(),
        multiple=True,
        help="Only those with it; may be repeated.",
    ),
    click.option("--group", metavar="GROUP", shell_complete=known, multiple=True, help="Only those of this group."),
    click.option("--lane", metavar="LANE", shell_complete=known, multiple=True, help="Only those of this lane."),
    click.option(
        "--state",
        "states",
        metavar="STATE",
        type=click.Choice(STATES),
        multiple=True,
        help=f"Only those that are {', '.join(STATES[:-1])} or {STATES[-1]}; may be repeated.",
    ),
    click.option("--mine", is_flag=True, help="Only your own."),
    click.option("--all", "everything", is_flag=True, help="All that it can be done to."),
]


class Some(Ids):
    def read(self, text: str) -> list[int]:
        try:
            return super().read(text)
        except ValueError as error:
            if not text[:1].isalpha():
                raise
            msg = f"{error}; by their name: --name {text}"
            raise ValueError(msg) from None


FIELDS = ("name", "tag", "group", "lane", "states", "mine", "everything")


def selecting(*, ids: bool = True, needed: bool = True) -> Callable[[Any], Any]:
    """Gives a command these options and hands it what they say as `which`; nothing is wrong usage if `needed`."""
    argument = click.argument("ids", type=Some(), nargs=-1, metavar="[ID…]")

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def command(**fields: Any) -> Any:
            given: dict[str, Any] = {name: fields.pop(name) for name in FIELDS}
            given["tag"] = dict(given["tag"]) or None
            given |= {option: the_one(option, given[option]) for option in ("name", "group", "lane")}
            which = Selection(flat(fields.pop("ids", ())), **given)
            if needed and not which.ids and not which.filtered:
                refuse(
                    "which jobs? Name ids (3, 3-7), or select: --name, --tag, --group, --lane, --state, --mine, --all"
                )
            return function(which=which, **fields)

        wrapped: Any = command
        options: list[Any] = [*([argument] if ids else []), *FILTERS]
        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped

    return decorate


def the_one(option: str, values: Sequence[str]) -> str | None:
    """Raises UsageError for several: the last one alone would be a surprise, and both together is no job."""
    if len(values) > 1:
        more = "; lr-* and the like take several" if option == "name" else ""
        refuse(
            f"--{option} is given {len(values)} times, and a job has one {option}{more}; else call the verb for each"
        )
    return values[0] if values else None


def look(
    trainq: Client, which: Selection, states: Sequence[str], *, limit: int | None = None, before: int | None = None
) -> Iterator[dict[str, Any]]:
    """The selected jobs in these states, newest first, page by page; of `limit` no more than one page too many."""
    if not states:
        return
    size = PAGE if limit is None or not which.by_the_daemon else min(limit, PAGE)
    while True:
        page = trainq.call("jobs", **which.asked(states), limit=size, **filled(before=before))
        yield from filter(which.matches, page["jobs"])
        if not page["more"]:
            return
        before = page["jobs"][-1]["id"]


def shown(trainq: Client, which: Selection) -> list[dict[str, Any]]:
    """For looking and waiting, the oldest first."""
    return [*look(trainq, which, states_shown(which))][::-1]


def states_shown(which: Selection) -> Sequence[str]:
    """All where jobs are described, ended or not; else those of the living ones."""
    return which.states or (STATES if which.named else LIVING)


def states_of(which: Selection, possible: Sequence[str]) -> tuple[str, ...]:
    """Those asked for among those possible. Raises UsageError when none of them is: it could never find a job."""
    if not which.states:
        return tuple(possible)
    found = tuple(state for state in which.states if state in possible)
    if not found:
        refuse(f"this is for jobs that are {' or '.join(possible)}, and --state says {', '.join(which.states)}")
    return found


def asks_on_a_terminal() -> bool:
    """Whether somebody sits there who can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()
