"""The full-screen program: Textual's events in, paintings out."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App
from textual.binding import Binding

from trainqueue.cli.screen import clean as uncontrolled
from trainqueue.top import deeds
from trainqueue.top.deeds import Refused
from trainqueue.top.first import SIGNALS
from trainqueue.top.keys import COMMANDS, Keys
from trainqueue.top.lines import Lines
from trainqueue.top.paint import PARTS, Painter
from trainqueue.top.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual import events
    from textual.app import ComposeResult, SystemCommand
    from textual.screen import Screen

    from trainqueue.top.asker import Asker
    from trainqueue.top.first import First

CSS = """
Screen { layout: vertical; background: transparent; overflow: hidden; }
#status, #title, #hint { height: 1; }
#banner, #gpus, #log, #ask { height: 0; }
#table, #sheet { height: 1fr; min-height: 3; }
#sheet { display: none; }
Input { height: 1; border: none; padding: 0; background: transparent; }
Input:focus { border: none; }
"""
TYPED = {
    "filter": "words that must occur: name, state, user, tag, command",
    "priority": "low, normal, high, or a number",
}
FULL = 3
"""Writes that may lie before the terminal."""
PATIENCE = 2.0
"""Seconds for leaving in order."""


class Top(App[int]):
    """The threads that `asker` has started go on until it is closed."""

    CSS = CSS
    BINDINGS: ClassVar = [
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("ctrl+q", "quit", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", show=False, priority=True),
    ]

    def __init__(self, asker: Asker, first: First | None = None) -> None:
        super().__init__(ansi_color=True)
        self.asker, self.first = asker, first
        self.view = View() if first is None else first.view
        self.fault = ""
        self._due = 0.0
        self.drawings = 0

    def compose(self) -> ComposeResult:
        for name in PARTS:
            yield Lines(name)

    def on_mount(self) -> None:
        parts = {part.id or "": part for part in self.query(Lines)}
        self.painter = Painter(self.view, self.asker, parts)
        self.keys = Keys(self.view, self.asker, self.painter, self.ask_for, self.leave)
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()

        def ring() -> None:
            try:
                loop.call_soon_threadsafe(self.hear, context=context)
            except RuntimeError:  # the loop is closed, and nobody looks any more
                return

        self.asker.box.ring = ring
        for number in SIGNALS:
            loop.add_signal_handler(number, self.told_to_leave, 128 + number)
        self.app_resume_signal.subscribe(self, self.resumed)
        self.set_interval(self.asker.interval, self.draw)
        self.hear()
        if self.first is not None and self.first.code:
            self.told_to_leave(self.first.code)

    def resumed(self, app: App[Any]) -> None:
        """After Ctrl-Z and fg the terminal is empty."""
        del app
        for part in self.painter.parts.values():
            part.refresh()

    def leave(self, code: int = 0) -> None:
        self.exit(code)

    def told_to_leave(self, code: int) -> None:
        """By a signal: then nobody waits for a terminal that takes nothing any more."""
        escape = threading.Timer(PATIENCE, os._exit, [code])
        escape.daemon = True
        escape.start()
        self.leave(code)

    @property
    def behind(self) -> bool:
        """Whether the terminal has not taken yet what was painted last; Textual would wait for it, keys and all."""
        writer = getattr(self._driver, "_writer_thread", None)
        queue = getattr(writer, "_queue", None)
        return queue is not None and queue.qsize() > FULL

    async def action_quit(self) -> None:
        self.leave()

    def _fatal_error(self) -> None:
        """Textual would show the values of all variables, which are other people's environments."""
        self.fault = traceback.format_exc()
        self._close_messages_no_wait()

    # -- what is new

    def hear(self) -> None:
        """Empty the mailbox. Painted at once where somebody waits, or the last time is long ago; else by the clock."""
        at_once = False
        for news in self.asker.box.take():
            at_once = self.view.take(news) or at_once
        if at_once or time.monotonic() >= self._due:
            self.draw()

    def draw(self) -> None:
        if self.is_running and self.size.width and not self.behind:
            self._due = time.monotonic() + self.asker.interval
            self.drawings += 1
            if self.painter.draw(*self.size):
                self.call_after_refresh(self.draw)

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    # -- keys and mouse

    def on_key(self, event: events.Key) -> None:
        if len(self.screen_stack) > 1 or self.view.prompt:
            if self.view.prompt and event.key == "escape":
                self.end_prompt()
            return
        event.stop()
        letter = event.character if event.character is not None and event.character.isprintable() else None
        self.press(event.key if letter is None or letter == " " else letter)

    def press(self, key: str) -> None:
        sheet = self.view.sheet
        self.keys.press(key)
        self.draw()
        if sheet != self.view.sheet:
            self.call_after_refresh(self.draw)  # once it has its height

    def on_click(self, event: events.Click) -> None:
        part = self.painter.parts["table"]
        if event.widget is part and not self.view.pending:
            self.painter.go(part.top + event.y, 1)
            self.draw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.wheel(event.widget, -3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.wheel(event.widget, 3)

    def wheel(self, part: object, step: int) -> None:
        if part is self.painter.parts["table"]:
            self.painter.go(self.view.row + step, step)
            self.draw()
        elif isinstance(part, Lines):
            self.painter.scroll(part, part.top + step)

    # -- a line to type into, in the place of the hints

    def ask_for(self, what: str, value: str) -> None:
        from textual.widgets import Input

        self.view.prompt = what
        self.painter.parts["hint"].display = False
        entry = Input(value, placeholder=TYPED[what])
        self.mount(entry)
        entry.focus()

    def end_prompt(self) -> None:
        from textual.widgets import Input

        self.view.prompt, self.view.said_until = "", 0.0
        self.query(Input).remove()
        self.painter.parts["hint"].display = True
        self.call_after_refresh(self.draw)

    def on_input_changed(self, event: Any) -> None:
        if self.view.prompt == "filter":
            self.view.world.filter = event.value.strip()
            self.draw()

    def on_input_submitted(self, event: Any) -> None:
        what, value = self.view.prompt, event.value
        self.end_prompt()
        if what == "priority":
            try:
                self.keys.do(deeds.priority(self.view.job, value))
            except Refused as refused:
                self.view.say(str(refused), "bad")

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """For Textual's palette."""
        from functools import partial

        from textual.app import SystemCommand

        del screen
        names = {"Space": "space", "Enter": "enter"}
        for title, key in COMMANDS:
            yield SystemCommand(title, f"Key {key}", partial(self.press, names.get(key, key)))


def serve(asker: Asker, first: First, *, mouse: bool) -> int:
    """Until somebody leaves; the exit code."""
    top = Top(asker, first)
    first.hand_over()
    found = top.run(mouse=mouse)
    if top.fault:
        sys.stderr.write(clean_lines(top.fault) + "trainq-cli top has a fault (above); the daemon and its jobs go on\n")
        return 1
    return (top.return_code or 0) if found is None else found


def clean_lines(text: str) -> str:
    return "".join(f"{uncontrolled(line)}\n" for line in text.splitlines())
