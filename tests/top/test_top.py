"""`top` with Textual's Pilot on a real daemon: what is on the screen after which keys."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

from support import run, wait_until
from textual.widgets import Input

from trainqueue.top.app import Top
from trainqueue.top.asker import Asker
from trainqueue.top.drawn import plain
from trainqueue.top.first import picture

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from support import Daemon
    from textual.pilot import Pilot

    from trainqueue.client import Client

HOSTILE = "[red]bold[/red] \x1b[31m \u202eabc 模型"


class Screen:
    """What somebody sees, and the keys that they press."""

    def __init__(self, top: Top, pilot: Pilot[int]) -> None:
        self.top, self.pilot = top, pilot

    @property
    def text(self) -> str:
        parts = [part for part in self.top.painter.parts.values() if part.display and part.size.height]
        return "\n".join(plain(line) for part in parts for line in part._drawn)

    def line(self, word: str) -> str:
        """The line in which it stands."""
        return next((line for line in self.text.splitlines() if word in line), "")

    async def see(self, *words: str) -> None:
        """Until all of them stand there."""
        deadline = time.monotonic() + 40
        while not all(word in self.text for word in words):
            assert time.monotonic() < deadline, f"{words} in\n{self.text}"
            await asyncio.sleep(0.01)

    async def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 40
        while not condition():
            assert time.monotonic() < deadline, self.text
            await asyncio.sleep(0.01)

    async def type(self, text: str) -> None:
        """Into the line that is open, in the place of what stands there."""
        await self.until(lambda: self.top.screen.query(Input))
        self.top.screen.query_one(Input).value = text
        await self.pilot.pause(0.3 if len(self.top.screen_stack) > 1 else 0)  # the palette searches behind the keys
        await self.pilot.press("enter")

    async def press(self, *keys: str) -> None:
        """Where a line is typed into through Textual, which waits a while behind each key; else at once."""
        for key in keys:
            if self.top.view.prompt or len(self.top.screen_stack) > 1 or "+" in key:
                await self.pilot.press(key)
            else:
                self.top.press(key)


def play(daemon: Daemon, story: Callable[[Screen], Awaitable[None]], size: tuple[int, int] = (120, 40)) -> int | None:
    """With a view of this daemon; its exit code."""

    async def scene() -> int | None:
        asker = Asker(daemon.home, 0.1)
        asker.start()
        top = Top(asker)
        try:
            async with top.run_test(size=size) as pilot:
                screen = Screen(top, pilot)
                await screen.see("● live")
                await story(screen)
        finally:
            asker.close(10)
        return top.return_value

    return run(scene())


def test_a_queue_is_watched_and_worked_on(daemon: Daemon, client: Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    script = f"echo first line; while [ ! -e {gate} ]; do sleep 0.05; done; echo last line"
    specs = [("runs", ["sh", "-c", script]), *((name, ["true"]) for name in ("alpha", "beta", "gamma", HOSTILE))]
    client.submit([{"command": argv, "cwd": "/", "name": name} for name, argv in specs])
    wait_until(lambda: client.status(1).state == "running")

    async def story(screen: Screen) -> None:
        await screen.see("1 running", "4 waiting", "first line", "of job 1 runs", "cpu:0", "job 1")
        assert "#1" in screen.line("alpha")
        assert "[red]bold[/red]" in screen.text
        assert not {*screen.text} & {"\x1b", "\u202e"}
        # moves, and the place is shown
        await screen.press("down", "down", "down", "f")
        await screen.see("job 4 has position 1 now; z takes it back")
        await screen.until(lambda: "#1" in screen.line(" gamma "))
        assert screen.line(" gamma ").startswith("▶")
        await screen.press("z")
        await screen.until(lambda: "#3" in screen.line(" gamma "))
        await screen.press("K")
        await screen.until(lambda: "#2" in screen.line(" gamma "))
        await screen.press("J")
        await screen.until(lambda: "#3" in screen.line(" gamma "))
        # a question, no, yes, and back
        await screen.press("c")
        await screen.see("Cancel job 4 (gamma)? It has not started")
        await screen.press("n")
        await screen.see("Nothing was changed")
        await screen.press("c", "y")
        await screen.see("job 4 is cancelled; z takes it back", "Ended lately", "3 waiting")
        await screen.press("z")
        await screen.see("job 4 waits again", "4 waiting")
        await screen.until(lambda: "#3" in screen.line(" gamma "))
        # hold, priority, wrong deeds
        await screen.press("h")
        await screen.see("job 4 is held", "held until")
        await screen.press("h")
        await screen.see("job 4 is released")
        await screen.press("p")
        await screen.type("high")
        await screen.see("job 4 has priority high")
        await screen.until(lambda: "#1" in screen.line(" gamma "))
        await screen.press("s")
        await screen.see("only a running job can be suspended")
        # the queue
        await screen.press("space")
        await screen.see("PAUSED", "nothing starts. Space resumes.")
        await screen.press("space")
        await screen.until(lambda: "PAUSED" not in screen.text)
        await screen.press("d")
        await screen.see("Drain? Nothing starts any more, the daemon exits when the 1 running job has ended")
        await screen.press("n")
        # filter, help, details, palette
        await screen.press("/")
        await screen.type("bet")
        await screen.see("Waiting 4, 1 shown")
        assert "alpha" not in screen.text
        await screen.see("Filter: bet")
        await screen.press("escape")
        await screen.see("alpha")
        await screen.press("?")
        await screen.see("preempt it: it saves, ends, and waits again")
        await screen.press("escape", "home", "enter")
        await screen.see("Job 1  runs", "command", "cwd")
        await screen.press("escape")
        await screen.press("ctrl+p")
        await screen.until(lambda: len(screen.top.screen_stack) == 2)
        await screen.type("help")
        await screen.see("preempt it: it saves, ends, and waits again")
        await screen.press("escape")
        # suspend and continue; a running job's question; its log to the end
        await screen.press("s")
        await screen.see("job 1 is suspended; it keeps its GPUs")
        await screen.until(lambda: "suspended" in screen.line(" runs "))
        await screen.press("s")
        await screen.see("job 1 runs on")
        await screen.press("c")
        await screen.see("Cancel job 1 (runs)? It has run for", "SIGTERM to all its processes, SIGKILL after 10 s")
        gate.touch()
        await screen.until(lambda: screen.top.view.world.state(1) == "completed")
        await screen.press("y")
        await screen.see("job 1 is completed meanwhile: nothing was changed", "last line", "Log of job 1")
        # sizes
        for size in ((60, 20), (40, 12), (20, 5), (120, 40)):
            await screen.pilot.resize_terminal(*size)
            await screen.until(lambda wide=size[0]: len(screen.text.splitlines()[0]) <= wide)  # type: ignore[misc]
        for key in ("l", "l", "g", "o", "tab", "pageup", "end", "tab", "l", "g", "g", "o", "o"):
            await screen.press(key)
        await screen.see("alpha", "beta")
        await screen.press("q")

    play(daemon, story)
    wait_until(lambda: all(job.ended for job in client.jobs()[0]))


def test_a_daemon_that_hangs_dies_and_comes_back(daemon: Daemon, client: Client) -> None:
    client.submit([{"command": ["sleep", "1000"], "cwd": "/", "name": "sleeps"}])
    client.submit([{"command": ["true"], "cwd": "/", "name": "waits"}])
    wait_until(lambda: client.status(1).state == "running")

    async def story(screen: Screen) -> None:
        assert daemon.process is not None
        pid = daemon.process.pid
        os.kill(pid, signal.SIGSTOP)
        screen.top.asker.order("hint")
        await screen.see("has not answered for")
        await screen.press("down")  # nothing waits for it
        assert screen.line("waits").startswith("▶")
        os.kill(pid, signal.SIGCONT)
        await screen.until(lambda: "● live" in screen.text and "answer" not in screen.text)
        await screen.press("c")
        await screen.see("Cancel job 2 (waits)?")
        daemon.kill()
        await screen.see("No daemon serves", "What is shown may be old", "○ no connection", "Cancel job 2 (waits)?")
        await screen.press("y")
        await screen.see("no daemon serves", "whether it was done shows when it is back")
        await asyncio.to_thread(daemon.start)
        await screen.see("The daemon was started again", "1 job runs on", "● live")
        await screen.press("c", "y")
        await screen.see("job 2 is cancelled")
        screen.top.leave(7)

    assert play(daemon, story) == 7


def test_of_thousands_only_what_is_in_view_is_asked_for(daemon: Daemon, client: Client) -> None:
    client.pause()
    client.submit([{"command": ["true"], "cwd": "/", "name": f"many-{at}"} for at in range(3000)])

    async def story(screen: Screen) -> None:
        await screen.see("3,000 waiting", "many-0")
        await screen.press("end")
        await screen.see("many-2999")
        assert screen.line("many-2999").startswith("▶")
        assert "#3000" in screen.line("many-2999")
        assert len(screen.top.view.world.jobs) < 300
        await screen.press("f")
        await screen.see("job 3000 has position 1 now")
        await screen.press("/")
        await screen.type("many-17")
        await screen.see("Waiting 3,000, 111 shown", "many-17 ", "many-1700")

    play(daemon, story)


def test_the_first_picture_is_the_one_that_textual_paints(daemon: Daemon, client: Client) -> None:
    """At both a usual and a low height, where the parts share what there is in another way."""
    client.pause()
    client.submit([{"command": ["true"], "cwd": "/", "name": f"waits {at}"} for at in range(60)])

    async def story(screen: Screen) -> None:
        await screen.see("waits 0")
        top = screen.top

        def drawn() -> str:
            return "\n".join(plain(line) for line in picture(top.view, top.asker, *top.size))

        await screen.until(lambda: screen.text == drawn())
        assert len(drawn().splitlines()) == top.size.height

    for size in ((120, 40), (60, 13)):
        play(daemon, story, size)
