"""What a live view shows of the queue, as lines that fit the terminal: pure, from what the daemon has told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from trainqueue.cli import banner, gauges, said
from trainqueue.cli.lane import banners
from trainqueue.cli.look import beside_position
from trainqueue.cli.painter import BLANK, Line
from trainqueue.cli.screen import (
    GAP,
    NARROW,
    bar,
    below,
    cells,
    clean,
    clock,
    fitting,
    folded,
    padded,
    shortened,
    took,
    widest,
    yielding,
)
from trainqueue.cli.stalls import stalled
from trainqueue.core.forewords import left, starts
from trainqueue.core.words import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Job = dict[str, Any]

HEAD, DIM, LOUD, BAD = "1", "2", "1;33", "31"
SHORT_BAR, SMALL = 5, 60
"""Of a terminal with fewer columns the bar is short."""
RECENT = 5
"""Ends that are shown; where there is no room fewer."""
BANNER = 3
"""Lines of banners at most."""


@dataclass(frozen=True, slots=True)
class Column:
    """Where there is no room, those with the highest `rank` go first; what has 0 stays."""

    head: str
    cell: Callable[[Job], object]
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    """`all`: how many there are, of which `jobs` are those that were asked for."""

    title: str
    columns: Sequence[Column]
    jobs: Sequence[Job]
    all: int
    elastic: int
    style: Callable[[Job], str] = lambda _: ""
    past: bool = False
    """What runs and what waits goes before it."""


def lines(found: dict[str, Any], recent: Sequence[Job], now: float, size: tuple[int, int], trouble: str) -> list[Line]:
    """All of the screen: `found` is what the op `queue` tells, `trouble` why it may be old."""
    width, height = size
    top = [headline(found, width), *banner_lines(found, trouble, width)][: max(1, height // 2)]
    running, waiting = found["running"], found["queued"]
    more = found.get("matching", found["counts"].get("queued", 0))
    sections = [
        Section("RUNNING", running_columns(now, width), running, len(running), 1),
        Section("WAITING", waiting_columns(now), waiting, max(more, len(waiting)), 2),
        Section("ENDED", ENDED, recent, len(recent), 1, ending_style, past=True),
    ]
    sections = [section for section in sections if section.jobs]
    if not sections:
        return [*top, BLANK, Line(shortened("Nothing waits and nothing runs.", width))]
    return [*top, *stacked(sections, width, height - len(top))][:height]


def headline(found: dict[str, Any], width: int) -> Line:
    counts = found["counts"]
    busy = counts.get("running", 0) + counts.get("pending", 0)
    gpus = [gpu for gpu in found.get("gpus") or () if not gpu["id"].startswith("cpu:")]
    free = sum(gpu.get("use") == "free" for gpu in gpus)
    facts = [f"{busy:,} running", f"{counts.get('queued', 0):,} waiting"]
    if gpus:
        facts.append(f"{free} of {number(len(gpus), 'GPU')} free")
    text = "trainq: " + ", ".join(facts)
    room = width - cells(text) - cells(HINT)
    return Line(text + " " * room + HINT if room >= 2 else shortened(text, width), HEAD)


HINT = "q quits"


def banner_lines(found: dict[str, Any], trouble: str, width: int) -> list[Line]:
    sentences = [*([trouble] if trouble else []), *banner.modes(found), *banners(found)]
    parts = [part for sentence in sentences for part in folded(clean(sentence), width)]
    return [Line(part, LOUD) for part in parts[:BANNER]]


def stacked(sections: Sequence[Section], width: int, room: int) -> list[Line]:
    """Each with its heads and what it gets of the room."""
    airy = room >= 4 * len(sections) + 4
    if not airy and room < sum(1 + (1 if section.past else section.all) for section in sections):
        sections = [section for section in sections if not section.past] or sections
    room -= len(sections) * (2 if airy else 1)
    found: list[Line] = []
    for section, most in zip(sections, places(room, sections), strict=True):
        if section.past:  # the last ones of many: how many are left out says nothing
            section = replace(section, jobs=section.jobs[:most], all=min(section.all, most))  # noqa: PLW2901
        found += [BLANK] * airy + table(section, width, most)
    return found


def places(room: int, sections: Sequence[Section]) -> list[int]:
    """Lines of each; the past, which stands last, has one at least, and what the others leave."""
    active = [section.all for section in sections if not section.past]
    past = len(sections) - len(active)
    given = shares(room - past, active)
    return given + [max(1, room - sum(given))] * past


def shares(room: int, wanted: Sequence[int]) -> list[int]:
    """An equal part for each, and what one does not need for the others, the first ones first."""
    part = max(1, room // max(1, len(wanted)))
    given = [min(want, part) for want in wanted]
    for at, want in enumerate(wanted):
        given[at] += min(want - given[at], max(0, room - sum(given)))
    return given


def table(section: Section, width: int, most: int) -> list[Line]:
    """In at most so many lines and one for the heads; the last one says how many are not shown."""
    shown = section.jobs[: most if section.all <= most else max(0, most - 1)]
    rows = [[clean("" if (cell := column.cell(job)) is None else cell) for column in section.columns] for job in shown]
    heads = [column.head for column in section.columns]
    heads[section.elastic] = section.title
    kept = [at for at in range(len(heads)) if at <= section.elastic or any(row[at] for row in rows)]
    widths = fit(section, [[row[at] for at in range(len(heads))] for row in (heads, *rows)], kept, width)
    drawn = [aligned(row, widths) for row in (heads, *rows)]
    styles = [DIM, *map(section.style, shown)]
    found = [Line(text, style) for text, style in zip(drawn, styles, strict=True)]
    rest = section.all - len(shown)
    if rest and most:
        found.append(Line(f"and {rest:,} more", DIM))
    return [Line(shortened(text, width), style) for text, style in found]


def fit(section: Section, grid: list[list[str]], kept: list[int], width: int) -> dict[int, int]:
    """How wide each column is, of those for which there is room; names give way before columns go."""
    columns = section.columns
    while True:
        widths = {at: max(cells(row[at]) for row in grid) for at in kept}
        over = sum(widths.values()) + len(GAP) * (len(kept) - 1) - width
        give = widths[section.elastic] - NARROW
        if over <= max(0, give) or not any(columns[at].rank for at in kept):
            break
        kept = [at for at in kept if at != max(kept, key=lambda at: columns[at].rank)]
    if over > 0:
        widths[section.elastic] -= min(over, max(0, give))
        return dict(zip(kept, fitting([*widths.values()], width), strict=True))
    return widths


def aligned(row: Sequence[str], widths: dict[int, int]) -> str:
    return GAP.join(padded(row[at], width) for at, width in widths.items()).rstrip()


def running_columns(now: float, width: int) -> list[Column]:
    return [
        Column("ID", lambda job: job["id"]),
        Column("NAME", lambda job: job["name"]),
        Column("STATE", state),
        Column("PROGRESS", lambda job: bar(progress(job).get("fraction"), 12 if width >= SMALL else SHORT_BAR)),
        Column("STEP", lambda job: said.steps(progress(job)), 3),
        Column("RATE", lambda job: said.rate(progress(job).get("rate")), 4),
        Column("METRIC", lambda job: said.metric(progress(job)), 2),
        Column("LEFT", lambda job: remains(job, now).removesuffix(" left"), 1),
        Column("TIME", lambda job: took(job["run_time"]), 5),
        Column("SAYS", lambda job: progress(job).get("message") or stalled(job), 6),
    ]


def waiting_columns(now: float) -> list[Column]:
    return [
        Column("#", lambda job: job["position"] or "-"),
        Column("ID", lambda job: job["id"]),
        Column("NAME", lambda job: job["name"]),
        Column("WAITS", lambda job: waits(job, now)),
    ]


def progress(job: Job) -> dict[str, Any]:
    return job["progress"] or {}


def state(job: Job) -> str:
    """Where there is more to say than that it runs."""
    told = next((word for word in ("stopping", "preempting", "suspended") if job.get(word)), job["state"])
    return "" if told == "running" else told


def remains(job: Job, now: float) -> str:
    """About 2 h 5 left: as the daemon expects, else as the job has told itself; nothing where nobody knows."""
    if job["expected_end_at"] is None:
        return gauges.left(job, now) if job["progress"] else ""
    return left(job, now)


def waits(job: Job, now: float) -> str:
    """When it starts, and what keeps it from that if it is more than its turn."""
    why = beside_position(job)
    when = starts(job, now) if job["expected_start_at"] is not None or not why else ""
    return "; ".join(part for part in (when, why) if part)


def ended(job: Job) -> str:
    if job["state"] == "completed":
        return "completed"
    code = f"signal {job['signal']}" if job["signal"] is not None else f"exit code {job['exit_code']}"
    plain = job["cause"] in {"exit", "signal"}
    cause = code if plain else job["cause"]
    return f"{job['state']} ({cause})" if cause not in {None, "user"} else job["state"]


def ending_style(job: Job) -> str:
    return BAD if job["state"] in {"failed", "lost"} else ""


ENDED = [
    Column("ID", lambda job: job["id"]),
    Column("NAME", lambda job: job["name"]),
    Column("STATE", ended),
    Column("ENDED", lambda job: clock(job["ended_at"]), 1),
    Column("TIME", lambda job: took(job["run_time"]), 2),
]


def paragraphs(facts: Iterable[tuple[str, str]], width: int) -> list[Line]:
    """Names and what they say, folded."""
    found: list[Line] = []
    for name, fact in facts:
        parts = folded(fact, max(NARROW, width - 15))
        found += [Line(f"{'' if at else name:14} {part}") for at, part in enumerate(parts)]
    return found


def job_lines(
    job: Job, facts: Iterable[tuple[str, str]], now: float, size: tuple[int, int], trouble: str
) -> list[Line]:
    width, _ = size
    title = f"job {job['id']} {clean(job['name'])}: {state(job) or job['state']}"
    if job["state"] == "queued":
        title = f"{title}{position(job)}, {waits(job, now)}"
    top = [Line(shortened(title, width), HEAD), *banner_lines({}, trouble, width)]
    if job["state"] == "running":
        top.append(Line(shortened(status_line(job, now, width), width)))
    return cut([*top, BLANK, *paragraphs(facts, width)], size)


def status_line(job: Job, now: float, room: int) -> str:
    """A running job in one line: its bar, and what else is known and has room; what it says is the last to be told."""
    told = progress(job)
    facts = {
        "bar": bar(told.get("fraction"), 12 if room >= SMALL else SHORT_BAR),
        "steps": said.steps(told),
        "rate": said.rate(told.get("rate")),
        "left": remains(job, now),
        "metric": clean(said.metric(told)),
    }
    shown: dict[str, str] = {}
    for name in ("bar", "left", "steps", "rate", "metric"):
        wider = shown | {name: facts[name]}
        if facts[name] and (not shown or cells(GAP.join(wider.values())) <= room):
            shown = wider
    says = clean(told.get("message") or stalled(job))
    return GAP.join([*(shown[name] for name in facts if name in shown), *([says] if says else [])])


def position(job: Job) -> str:
    return f" (position: {job['position']})" if job["position"] else ""


def gpu_lines(
    heads: Sequence[str], rows: Sequence[Sequence[str]], told: str, size: tuple[int, int], trouble: str
) -> list[Line]:
    """Their states are sentences, and go on below."""
    width, _ = size
    grid = [[*heads], *([clean(cell) for cell in row] for row in rows)]
    widths = fitting(yielding(widest(grid), width, 1), width)
    found = banner_lines({}, trouble, width)
    for at, line in enumerate(grid):
        parts = below(line, widths[-1])
        found += [Line(aligned([*start, part], dict(enumerate(widths))), "" if at else HEAD) for start, part in parts]
    return cut([*found, *(Line(part) for part in folded(clean(told), width) if part)], size)


def cut(lines: list[Line], size: tuple[int, int]) -> list[Line]:
    """To the height, and say so."""
    _, height = size
    if len(lines) <= height:
        return lines
    return [*lines[: height - 1], Line(f"and {len(lines) - height + 1} more", DIM)]
