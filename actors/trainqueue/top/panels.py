"""What stands around the table: GPUs, state of the queue and of the connection, help. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainqueue.cli.gpus import known, label, memory, state
from trainqueue.cli.screen import clock, folded
from trainqueue.top.drawn import Line, Part, clean, cut, ends, joined, part
from trainqueue.top.rows import bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainqueue.top.world import World

FOLDS = 3
"""Lines that a banner takes at most."""
STYLES = {"free": "good", "held": "", "foreign": "warn", "unhealthy": "bad", "disabled": "dim", "memory": "warn"}
KEYS = (
    ("↑ ↓ j k", "the job; PgUp PgDn Home End; a click"),
    ("Enter", "all about it; Esc: back"),
    ("l", "its log: smaller, larger, away; Tab: scroll in it, End: follow"),
    ("c", "cancel it"),
    ("h", "hold it, or release it"),
    ("f b", "to the front, to the back of the line"),
    ("K J", "one place up, one down (also Shift ↑ ↓)"),
    ("p", "its priority"),
    ("r", "retry it: a new attempt"),
    ("s", "suspend it, or let it continue"),
    ("e", "preempt it: it saves, ends, and waits again"),
    ("z", "take the last of these back, where that is possible"),
    ("Space", "pause the queue, or resume it"),
    ("d", "drain: start nothing, the daemon exits when the last job has ended"),
    ("/", "filter by words: id, name, state, user, tag, command; Esc: all"),
    ("g o", "the GPUs, the ended jobs: some, all, none"),
    ("Ctrl-P", "all of this by name"),
    ("Ctrl-Z", "to the shell; fg comes back"),
    ("q", "leave; everything runs on"),
)
HINTS = (
    ("?", "help"),
    ("q", "leave"),
    ("/", "filter"),
    ("c", "cancel"),
    ("h", "hold"),
    ("f", "front"),
    ("b", "back"),
    ("p", "priority"),
    ("r", "retry"),
    ("s", "suspend"),
    ("Space", "pause"),
    ("l", "log"),
    ("Enter", "details"),
)


def gpu_lines(world: World, width: int, most: int) -> list[Line]:
    """One each; where there is no room for all, the last line says so."""
    shown = world.gpus if len(world.gpus) <= most else world.gpus[: max(0, most - 1)]
    names = max([len(clean(short(gpu))) for gpu in shown], default=0)
    lines = [gpu_line(gpu, width, min(names, 20)) for gpu in shown]
    more = len(world.gpus) - len(shown)
    if more and most > 0:
        busy = sum(1 for gpu in world.gpus[len(shown) :] if gpu["jobs"])
        lines.append(cut([(f"and {more} more, {busy} of them with jobs; g shows all", "dim")], width))
    return lines


def short(gpu: dict[str, Any]) -> str:
    return str(gpu["name"]).removeprefix("NVIDIA ").removeprefix("GeForce ") or str(gpu["id"])


def gpu_line(gpu: dict[str, Any], width: int, names: int) -> Line:
    used, total, busy = gpu["memory_used"], gpu["memory_total"], gpu["utilization"]
    cells: list[Part] = [part(label(gpu), 6 if width >= 60 else 5, "bold")]
    if width >= 80:
        cells.append(part(short(gpu), names, "dim"))
    if total:
        size = 12 if width >= 90 else 6
        cells.append((bar(used / total, size), "bar") if used is not None else (" " * size, ""))
        cells.append(
            part(memory(used, total) if width >= 60 else f"{(used or 0) / 2**30:.0f}G", 14 if width >= 60 else 4)
        )
    if total or busy is not None:
        cells.append(part(known(busy, " %"), 5, right=True))
        cells.append(part(known(gpu["temperature"], " °C"), 6, right=True))
    use = gpu.get("use", "free")
    cells.append((clean(state(gpu)), STYLES.get(use, "")))
    return cut(joined(cells, " "), width)


def status(world: World, trouble: str, width: int, whose: str) -> Line:
    """The first line of the screen."""
    running, waiting = len(world.running), len(world.waiting)
    if not world.known:
        said = [("trainq", "bold"), (f"  asking the daemon of {clean(whose)} …", "dim")]
        return ends(said, [(trouble, "bad")] if trouble else [], width)
    ended = [(name, world.counts.get(name, 0)) for name in ("completed", "failed", "lost", "cancelled")]
    figures = [("trainq", "bold"), (f"{running:,} running", "good" if running else "dim"), (f"{waiting:,} waiting", "")]
    if width >= 76:
        figures += [
            (f"{count:,} {name}", "bad" if name in {"failed", "lost"} else "dim") for name, count in ended if count
        ]
    if width >= 120:
        figures.append((clean(whose), "dim"))
    return ends(joined(figures), [("○ no connection", "bad")] if trouble else [("● live", "good")], width)


def banners(world: World, trouble: str, width: int) -> list[Line]:
    """What nobody may overlook, each over the whole width."""
    said = [(clean(trouble), "alarm")] if trouble else []
    modes = world.modes
    if modes.get("draining"):
        then = "nothing starts, and the daemon exits when the running jobs have ended"
        said.append((f"DRAINING: {then}. Space ends that.", "banner"))
    elif modes.get("paused"):
        since = ", ".join(clean(one) for one in (modes.get("pause_reason"), clock(modes.get("paused_since"))) if one)
        said.append((f"PAUSED{f' ({since})' if since else ''}: nothing starts. Space resumes.", "banner"))
    paused = [clean(lane["name"]) for lane in modes.get("lanes") or () if lane["paused"]]
    said += [(f"Lane {name} is PAUSED: trainq-cli lane {name} --resume ends that.", "banner") for name in paused]
    folds = ((line, style) for text, style in said for line in folded(text, max(8, width - 1))[:FOLDS])
    return [((part(f" {line}", width)[0], style),) for line, style in folds]


def hints(width: int) -> Line:
    """As many as there is room for."""
    line: list[Part] = []
    used = 0
    for key, word in HINTS:
        used += len(key) + len(word) + 3
        if used > width:
            break
        line += [(key, "key"), (f" {word}  ", "dim")]
    return tuple(line)


def help_lines(width: int) -> list[Line]:
    lines: list[Line] = [(("Keys", "bold"),), ()]
    for keys, text in KEYS:
        for at, below in enumerate(folded(text, max(16, width - 12))):
            lines.append((part("" if at else keys, 9, "key"), (" ", ""), (below, "")))
    return [*lines, (), (("Esc or ? goes back.", "dim"),)]


def log_title(title: Sequence[Part], width: int, *, following: bool) -> Line:
    from trainqueue.top.drawn import rule

    return rule([*title, ("  following" if following else "  End: follow", "dim"), (" ", "")], width)
