"""What the keys do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trainqueue.top import deeds
from trainqueue.top.deeds import Deed, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainqueue.top.asker import Asker
    from trainqueue.top.lines import Lines
    from trainqueue.top.paint import Painter
    from trainqueue.top.view import View

BY_JOB: dict[str, Callable[..., Deed]] = {
    "c": deeds.cancel,
    "h": deeds.hold,
    "r": deeds.retry,
    "s": deeds.suspend,
    "e": deeds.preempt,
}
PLACES = {"f": "front", "b": "back", "K": "up", "J": "down", "shift+up": "up", "shift+down": "down"}
STEPS = {"up": -1, "k": -1, "down": 1, "j": 1}
STARTED = {"pending", "running"}
"""What is said of one of them holds for the other."""
COMMANDS = (
    ("Cancel the job", "c"),
    ("Hold or release the job", "h"),
    ("Move the job to the front", "f"),
    ("Move the job to the back", "b"),
    ("Move the job up", "K"),
    ("Move the job down", "J"),
    ("Priority of the job", "p"),
    ("Retry the job", "r"),
    ("Suspend or continue the job", "s"),
    ("Preempt the job", "e"),
    ("Take the last deed back", "z"),
    ("Pause or resume the queue", "Space"),
    ("Drain the queue", "d"),
    ("Filter", "/"),
    ("Details of the job", "Enter"),
    ("Log of the job: size", "l"),
    ("GPUs: some, all, none", "g"),
    ("Ended jobs: a few, all lately, none", "o"),
    ("Help", "?"),
    ("Leave", "q"),
)
"""For the palette, with their keys."""


class Keys:
    """`ask_for` opens a line to type into, `leave` ends the program."""

    def __init__(
        self,
        view: View,
        asker: Asker,
        painter: Painter,
        ask_for: Callable[[str, str], None],
        leave: Callable[[], None],
    ) -> None:
        self.view, self.asker, self.painter = view, asker, painter
        self.ask_for, self.leave = ask_for, leave

    def press(self, key: str) -> None:
        """By Textual's names; a letter stands for itself."""
        try:
            if self.view.pending is not None:
                self.answer(key)
            elif self.view.sheet and key in {"escape", "?", "q", "enter"}:
                self.close_sheet()
            else:
                self.obey(key)
        except Refused as refused:
            self.view.say(str(refused), "bad")

    def answer(self, key: str) -> None:
        """What the question said must still be so."""
        deed, self.view.pending = self.view.pending, None
        if key not in {"y", "Y"} or deed is None:
            self.view.say("Nothing was changed")
            return
        state = self.view.world.state(deed.job)
        if deed.job is not None and state != deed.state and not {state, deed.state} <= STARTED:
            msg = f"job {deed.job} is {state or 'gone'} meanwhile: nothing was changed, ask again"
            raise Refused(msg)
        self.asker.order("do", deed)

    def do(self, deed: Deed) -> None:
        if deed.question:
            self.view.pending = deed
        else:
            self.asker.order("do", deed)

    def obey(self, key: str) -> None:
        world = self.view.world
        if key in BY_JOB:
            self.do(BY_JOB[key](world, self.view.job, time.time()))
        elif key in PLACES:
            self.do(deeds.move(world, self.view.job, PLACES[key]))
        elif key in STEPS:
            self.step(STEPS[key])
        elif key in {"pageup", "pagedown"}:
            height = max(1, self.painter.parts["table"].size.height - 1)
            self.step(height if key == "pagedown" else -height)
        elif key in {"home", "end"}:
            self.jump(end=key == "end")
        elif key == "space":
            self.do(deeds.pause(world))
        elif key == "d":
            self.do(deeds.drain(world))
        else:
            self.look(key)

    def look(self, key: str) -> None:
        """What changes nothing but the view."""
        view = self.view
        match key:
            case "q":
                self.leave()
            case "z":
                self.take_back()
            case "?":
                self.open_sheet("help")
            case "enter":
                self.open_sheet("job", view.job["id"])
            case "/":
                self.ask_for("filter", view.world.filter)
            case "p":
                deeds.need(view.job, "queued", verb="only the priority of a waiting job can be changed")
                self.ask_for("priority", str(view.job["priority"]))
            case "l":
                view.log.size = (view.log.size + 1) % 3
            case "g":
                view.gpus = (view.gpus + 1) % 3
            case "o":
                view.ended = (view.ended + 1) % 3
            case "tab":
                view.log.focus = not view.log.focus
                view.say("Keys scroll the log; Tab: the table" if view.log.focus else "Keys move in the table")
            case "escape":
                view.world.filter, view.log.focus = "", False
            case _:
                pass

    @property
    def text(self) -> Lines | None:
        """What keys scroll; None where they move in the table."""
        if self.view.sheet:
            return self.painter.parts["sheet"]
        return self.painter.parts["log"] if self.view.log.focus else None

    def step(self, step: int) -> None:
        if self.text is not None:
            self.painter.scroll(self.text, self.text.top + step)
        else:
            self.painter.go(self.view.row + step, 1 if step > 0 else -1)

    def jump(self, *, end: bool) -> None:
        if self.text is not None:
            self.painter.scroll(self.text, self.text.last_top if end else 0)
        else:
            self.painter.go(len(self.view.table) - 1 if end else 0, -1 if end else 1)

    def take_back(self) -> None:
        deed, self.view.last = self.view.last, None
        if deed is None or not deed.undo:
            msg = "there is nothing that can be taken back"
            raise Refused(msg)
        words = f"job {deed.job} {deed.undone}" if deed.job is not None else deed.undone
        self.asker.order("do", Deed(deed.undo, words, deed.job))

    def open_sheet(self, kind: str, job: int | None = None) -> None:
        self.view.sheet, self.view.sheet_job, self.view.full = kind, job, None
        if job is not None:
            self.asker.order("full", job)
        self.painter.parts["table"].display, self.painter.parts["sheet"].display = False, True
        self.painter.parts["sheet"].top = 0

    def close_sheet(self) -> None:
        self.view.sheet = ""
        self.painter.parts["table"].display, self.painter.parts["sheet"].display = True, False
