"""What somebody looks at: which job, how large the panes are, what was said last, what is asked. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainqueue.top import deeds
from trainqueue.top.deeds import Refused
from trainqueue.top.logtext import LogText
from trainqueue.top.rows import Table
from trainqueue.top.world import World

if TYPE_CHECKING:
    from trainqueue.top.asker import Done, Log, News
    from trainqueue.top.deeds import Deed

SAID = 8.0
"""Seconds that a sentence stands in the last line."""


@dataclass
class LogView:
    """The log of one job as far as it has come."""

    job: int | None = None
    attempt: int | None = None
    text: LogText = field(default_factory=LogText)
    follows: bool = True
    size: int = 1
    """0: away, 1: small, 2: large"""
    focus: bool = False
    """Whether keys scroll it."""

    def turn_to(self, job: int | None) -> None:
        self.job, self.attempt, self.text, self.follows = job, None, LogText(), True

    def grow(self, news: Log) -> bool:
        """Whether it is the first that is seen of it."""
        if news.job != self.job:
            return False
        first = self.attempt is None
        if news.fresh and news.part["attempt"] != self.attempt:
            self.text = LogText()
        elif news.fresh:
            self.text.skip()
        self.attempt = news.part["attempt"]
        self.text.feed(news.part["data"])
        return first


@dataclass
class View:
    """`pending` waits for an answer to its question; `last` is what z takes back."""

    world: World = field(default_factory=World)
    log: LogView = field(default_factory=LogView)
    selected: int | None = None
    row: int = 0
    gpus: int = 1
    """0: none, 1: some, 2: as many as half of the screen has room for"""
    ended: int = 1
    """0: no ended jobs, 1: a few, 2: all that are remembered"""
    trouble: str = ""
    said: str = ""
    said_style: str = ""
    said_until: float = 0.0
    pending: Deed | None = None
    last: Deed | None = None
    sheet: str = ""
    """"help", "job", or none."""
    sheet_job: int | None = None
    full: dict[str, Any] | None = None
    prompt: str = ""
    """What is being typed: "filter", "priority", or nothing."""

    def __post_init__(self) -> None:
        self.table = Table(self.world)

    @property
    def job(self) -> dict[str, Any]:
        """The selected one. Raises Refused."""
        job = self.world.jobs.get(self.selected or 0)
        if job is None:
            raise Refused("no job is selected" if self.selected is None else "this job is not known yet")
        return job

    def say(self, sentence: str, style: str = "") -> None:
        self.said, self.said_style, self.said_until = sentence, style, time.monotonic() + SAID

    @property
    def speaking(self) -> bool:
        return time.monotonic() < self.said_until

    def take(self, news: News) -> bool:
        """Whether somebody waits for it."""
        from trainqueue.top.asker import Answers, Done, Full, Heard, Log, More, Trouble

        match news:
            case Answers():
                first = not self.world.known
                self.compare(news.found)
                self.world.take(news.found, news.line, news.jobs, news.recent)
                return first or self.speaking
            case More():
                self.world.jobs.update({job["id"]: job for job in news.jobs})
            case Heard():
                self.world.hear(news.event)
                return False
            case Log():
                return self.log.grow(news)
            case Done():
                self.tell(news)
            case Full():
                self.full = news.told
            case Trouble():
                self.trouble = news.sentence
        return True

    def compare(self, found: dict[str, Any]) -> None:
        """A new epoch is another daemon."""
        if self.world.known and found["epoch"] != self.world.epoch:
            kept = len(found["running"])
            jobs = "1 job runs on" if kept == 1 else f"{kept} jobs run on"
            self.say(f"The daemon was started again at {time.strftime('%H:%M:%S')}; {jobs}", "warn")

    def tell(self, done: Done) -> None:
        """What has become of a deed."""
        try:
            if done.error:
                raise Refused(done.error)
            said = deeds.outcome(done.deed, done.results)
        except Refused as refused:
            self.say(str(refused), "bad")
            return
        self.last = done.deed
        self.say(said + "; z takes it back" * bool(done.deed.undo), "good")
