"""Brings what is known onto the screen: who gets how many lines, and what stands in them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trainqueue.cli.screen import folded
from trainqueue.top import panels
from trainqueue.top.drawn import clean
from trainqueue.top.world import RECENT

if TYPE_CHECKING:
    from trainqueue.top.asker import Asker
    from trainqueue.top.drawn import Line, Part
    from trainqueue.top.lines import Lines
    from trainqueue.top.view import View

PARTS = ("status", "banner", "gpus", "table", "sheet", "title", "log", "ask", "hint")
SLOW = 2.0
"""Seconds without an answer after which that is said."""
MARGIN = 15
"""Rows beside those in view that are known in advance."""
LOW = 14
"""Lines of a screen that has no room for a log."""


class Painter:
    """`parts` are the widgets by name."""

    def __init__(self, view: View, asker: Asker, parts: dict[str, Lines]) -> None:
        self.view, self.asker, self.parts, self.moved = view, asker, parts, False

    def draw(self, width: int, height: int) -> bool:
        """All that has changed; whether heights have, too, which they do only behind this: then once more."""
        view, self.moved = self.view, False
        self.layout(width, height)
        self.parts["status"].show_all([panels.status(view.world, view.trouble, width, str(self.asker.home.path))])
        if view.sheet:
            self.parts["sheet"].show_all(self.sheet(width))
        self.draw_table(width)
        self.draw_log(width)
        self.parts["hint"].show_all([self.hint(width)])
        return self.moved

    def layout(self, width: int, height: int) -> None:
        """Heights by what there is to show."""
        view = self.view
        self.fill("banner", panels.banners(view.world, self.trouble(), width))
        most = 0 if view.sheet else (0, max(1, min(4, height // 5)), max(1, height // 2))[view.gpus]
        self.fill("gpus", panels.gpu_lines(view.world, width, most))
        self.fill("ask", self.question(width))
        log = 0 if view.sheet or height < LOW else height * (0, 3, 6)[view.log.size] // 10
        self.resize("title", min(1, log))
        self.resize("log", max(0, log - 1))

    def fill(self, name: str, lines: list[Line]) -> None:
        self.resize(name, len(lines))
        self.parts[name].show_all(lines)

    def resize(self, name: str, height: int) -> None:
        part = self.parts[name]
        if part.asked_height != height:
            part.asked_height, self.moved = height, True
            part.styles.height, part.display = height, bool(height)

    def trouble(self) -> str:
        """Why what is shown may be old."""
        if (said := self.view.trouble) != "":
            return f"{said[:1].upper()}{said[1:]}. What is shown may be old."
        busy = self.asker.busy_since
        waits = time.monotonic() - busy if busy is not None else 0.0
        return f"The daemon has not answered for {waits:.0f} s. What is shown may be old." if waits > SLOW else ""

    def draw_table(self, width: int) -> None:
        view, part = self.view, self.parts["table"]
        table = view.table
        table.shape(width, time.time(), ended=(0, 5, RECENT)[view.ended], keep=view.selected)
        row = table.find(view.selected)
        if row is None:
            row = table.next_to(1 if view.selected is None else view.row, 1)
            self.select(None if row is None else table.job(row), row)
        view.row = row or 0
        if view.sheet:
            return
        if view.selected is not None:
            part.bring_into_view(table.with_headings(view.row), view.row)
        part.show(len(table), self.table_line)
        self.want()

    def table_line(self, at: int) -> Line:
        job = self.view.table.job(at)
        return self.view.table.line(at, selected=job is not None and job == self.view.selected)

    def select(self, job: int | None, row: int | None) -> None:
        """The log goes with the job."""
        view = self.view
        view.row = row or 0
        if job == view.selected:
            return
        view.selected = job
        view.log.turn_to(job)
        self.asker.wanted.log = job
        self.asker.order("log", view.world.state(job))

    def want(self) -> None:
        """Tell the asking thread what is in view."""
        table, seen = self.view.table, self.parts["table"].in_view()
        rows = range(max(0, seen.start - MARGIN), min(len(table), seen.stop + MARGIN))
        jobs = tuple(job for at in rows if (job := table.job(at)) is not None)
        wanted = self.asker.wanted
        search = bool(self.view.world.filter)
        if search != wanted.search:
            wanted.search = search
            self.asker.order("search")
        if wanted.visible != jobs:
            wanted.visible = jobs
            if any(job not in self.view.world.jobs for job in jobs):
                self.asker.order("view")

    def draw_log(self, width: int) -> None:
        log, part = self.view.log, self.parts["log"]
        if not part.display:
            return
        said: list[Part] = [("Log", "bold")]
        if log.job is not None:
            name = clean(self.view.world.name(log.job))
            attempt = f"  attempt {log.attempt}" if (log.attempt or 1) > 1 else ""
            said += [(f" of job {log.job} ", ""), (name[:60], "dim"), (attempt, "dim")]
        self.parts["title"].show_all([panels.log_title(said, width, following=log.follows)])
        if log.follows:
            part.top = len(log.text)  # as far down as there is something
        part.show(len(log.text), self.log_line)

    def log_line(self, at: int) -> Line:
        return ((self.view.log.text.line(at), ""),)

    def hint(self, width: int) -> Line:
        view = self.view
        if view.speaking:
            return ((clean(view.said), view.said_style),)
        if view.world.filter:
            return (("Filter: ", "bold"), (clean(view.world.filter), "warn"), ("  / changes it, Esc ends it", "dim"))
        return panels.hints(width)

    def question(self, width: int) -> list[Line]:
        if self.view.pending is None:
            return []
        asked = folded(f" {self.view.pending.question}", max(10, width - 1))
        lines: list[Line] = [((text.ljust(width), "banner"),) for text in asked]
        return [*lines, ((" y", "key"), (" yes   ", ""), ("n", "key"), (" no, change nothing", ""))]

    def sheet(self, width: int) -> list[Line]:
        from trainqueue.top.detail import detail_lines

        view = self.view
        if view.sheet == "help":
            return panels.help_lines(width)
        return detail_lines(view.full, view.world.jobs.get(view.sheet_job or 0), width, time.time())

    # -- moves

    def go(self, row: int, step: int) -> None:
        """To the nearest job from this row on."""
        found = self.view.table.next_to(row, step)
        if found is not None:
            self.select(self.view.table.job(found), found)

    def scroll(self, part: Lines, top: int) -> None:
        """The last line in view means: follow."""
        part.top = top
        part.repaint()
        if part is self.parts["log"]:
            self.view.log.follows = part.top >= part.last_top
