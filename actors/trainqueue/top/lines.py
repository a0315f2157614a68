"""The one widget: lines of styled parts, of which only those are painted anew that have changed.

Textual's own table repaints all of itself for one cell; over a thin link that is a hundred times as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainqueue.top.drawn import Line

STYLES = {
    "": Style(),
    "bold": Style(bold=True),
    "dim": Style(dim=True),
    "name": Style(),
    "id": Style(color="cyan"),
    "mark": Style(color="cyan", bold=True),
    "bar": Style(color="blue"),
    "good": Style(color="green"),
    "warn": Style(color="yellow"),
    "bad": Style(color="red"),
    "key": Style(color="cyan", bold=True),
    "banner": Style(color="yellow", reverse=True, bold=True),
    "alarm": Style(color="red", reverse=True, bold=True),
    "selected": Style(reverse=True),
    "match": Style(reverse=True),
}
MOST = 1000
"""Lines that are kept ready."""


class Lines(Widget, can_focus=False):
    """`top` is the first line in view; `get(at)` makes a line when it is looked at."""

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self._get: Callable[[int], Line] = lambda at: ()  # noqa: ARG005
        self.count = self.top = 0
        self._drawn: list[Line] = []
        self._strips: dict[Line, Strip] = {}
        self._painted = (0, 0)
        self.asked_height = -1

    def show(self, count: int, get: Callable[[int], Line]) -> None:
        """Paints what differs from what is there."""
        self._get, self.count = get, count
        self.repaint()

    def show_all(self, lines: list[Line]) -> None:
        self.show(len(lines), lines.__getitem__)

    def repaint(self) -> None:
        """The lines in view that have changed."""
        self.top = max(0, min(self.top, self.last_top))
        top, (width, height) = self.top, self.size
        drawn: list[Line] = [self._get(at) if at < self.count else () for at in range(top, top + height)]
        if (width, height) != self._painted or len(drawn) != len(self._drawn):
            self.refresh()
        else:
            for row, (line, before) in enumerate(zip(drawn, self._drawn, strict=True)):
                if line != before:
                    self.refresh(Region(0, row, width, 1))
        self._drawn, self._painted = drawn, (width, height)

    def render_line(self, y: int) -> Strip:
        line = self._drawn[y] if y < len(self._drawn) else ()
        width = self.size.width
        found = self._strips.get(line)
        if found is None or found.cell_length != width:
            if len(self._strips) > MOST:
                self._strips.clear()
            strip = Strip([Segment(text, STYLES[style]) for text, style in line])
            found = self._strips[line] = strip.adjust_cell_length(width)
        return found

    # -- what is in view

    @property
    def last_top(self) -> int:
        """The first line in view when the last one is."""
        return max(0, self.count - self.size.height)

    def in_view(self) -> range:
        return range(self.top, min(self.count, self.top + max(1, self.size.height)))

    def bring_into_view(self, first: int, last: int) -> None:
        """Both lines; scrolls no further than needed."""
        height = self.size.height
        if height and first < self.top:
            self.top = first
        elif height and last >= self.top + height:
            self.top = last - height + 1
