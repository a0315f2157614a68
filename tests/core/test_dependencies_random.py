"""Random lives of jobs that wait for each other in all ways: edited, retried, held, and through restarts."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from core.machine import spec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.dependencies import named
from trainqueue.core.job import Cancelled, Job, Pending, Queued, Running
from trainqueue.core.why import why
from trainqueue.errors import RequestError
from trainqueue.jobrow import from_row, to_row
from trainqueue.search import FIRST_COLUMNS

if TYPE_CHECKING:
    from random import Random

    from trainqueue.core.spec import JobSpec

GROUPS = ("g", "h")
PLACES = 4
WIDTH = len(FIRST_COLUMNS.split(", "))


class Life:
    """`written` is what the journal holds of each job: rows, as they were after the last step."""

    def __init__(self, random: Random) -> None:
        self.random, self.some = random, random.choice
        self.core = Core([], cpu_jobs=PLACES)
        self.written: dict[int, Job] = {}
        self.now = 1000.0
        self.seen = Counter[str]()
        self.anew: list[int] = []
        """Whoever is to be told what became of all that it waits for."""

    def do(self, event: ev.Event) -> None:
        self.now += 1
        waited = self.waiters() if isinstance(event, ev.AttemptEnded | ev.AttemptLost | ev.Cancel) else {}
        with contextlib.suppress(RequestError):
            for effect in self.core.handle(event, self.now):
                if isinstance(effect, fx.Changed):
                    self.wrote(effect.job)
                if isinstance(effect, fx.Reconsider):
                    self.anew += effect.jobs
        self.core.validate()
        self.check()
        while self.anew:
            self.reconsider(self.anew.pop())
        for waiter, members in waited.items():
            job = self.core.jobs.get(waiter)
            bad = [dep for dep in members if dep in self.ended() and self.ended()[dep] != "completed"]
            assert job is None or not bad or (isinstance(job.state, Queued) and job.state.unmet), f"{bad}: {job}"

    def reconsider(self, waiter: int) -> None:
        """As the arbiter does it."""
        job = self.core.jobs.get(waiter)
        if job is None or not isinstance(job.state, Queued):
            return
        before, (known, _) = job.state, self.known(job)
        self.do(ev.Reconsidered(waiter, known, self.groups(waiter, job.bound)))
        if before.unmet and self.ended().get(before.unmet_by) == "completed":
            by = getattr(job.state, "unmet_by", 0)
            assert by != before.unmet_by or by in job.spec.after_failed
            self.seen["forgiven"] += not by

    def waiters(self) -> dict[int, set[int]]:
        """Which members of groups each job waits for."""
        groups = self.core.groups()
        return {
            job.id: {member for group in job.waits_for_groups for member in groups.members(job, group)}
            for job in self.core.jobs.values()
        }

    def wrote(self, job: Job) -> None:
        row = to_row(job, None, self.now)
        self.written[job.id] = from_row(row[:WIDTH])
        if isinstance(job.state, Cancelled) and job.state.cause == "dependency":
            self.seen["cancelled"] += 1
        if isinstance(job.state, Queued) and job.state.unmet:
            self.seen["kept"] += 1
        if isinstance(job.state, Pending):
            self.seen["late"] += bool(named(job.spec) or job.spec.after_group)

    def ended(self) -> dict[int, Any]:
        return {job.id: job.state.name for job in self.written.values() if job.ended}

    def groups(self, without: int | None = None, below: int = 2**62) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for job in self.written.values():
            if job.ended and job.spec.group is not None and job.id != without and job.id < below:
                bad = None if job.state.name == "completed" else (job.id, job.state.name)
                found[job.spec.group] = found.get(job.spec.group) or bad
        return found

    def check(self) -> None:
        """Who may start, has got what it asked for; who was let down is not among them."""
        ended = self.ended()
        for job in self.core.jobs.values():
            if not isinstance(job.state, Queued):
                continue
            assert all(why(self.core, job, self.now))
            assert {*named(job.spec)} - job.met == job.waits_for, f"{job} forgets what it waits for"
            let_down = job.waits_for & ended.keys()
            assert job.state.unmet or not let_down, f"{job} was let down by {let_down} and does not say so"

    # -- what may happen

    def wanted(self) -> JobSpec:
        ids = range(max(1, self.core.next_id - 8), self.core.next_id)
        fields: dict[str, Any] = {}
        for name in ("after", "after_any", "after_failed"):
            if ids and self.some([True, False, False]):
                fields[name] = tuple(self.some(ids) for _ in range(self.some([1, 1, 2])))
        known = [*{*self.groups(), *(job.spec.group for job in self.core.jobs.values())} - {None}]
        if known and self.random.random() < 0.5:
            fields["after_group"] = tuple({self.some(known) for _ in range(2)})
        again = {"exit": 1} if self.some([True, False, False]) else {}
        kept, held = self.random.random() < 0.5, self.random.random() < 0.3
        return spec(gpus=0, group=self.some([None, *GROUPS]), keep=kept, hold=held, retries=again, **fields)

    def job(self, *states: type) -> Job | None:
        found = [job for job in self.core.jobs.values() if isinstance(job.state, states)]
        return self.some(found) if found else None

    def step(self) -> None:
        acts = (self.submit, self.submit, self.begin, self.end, self.end, self.edit, self.rename, self.cancel)
        self.some([*acts, self.hold, self.release, self.retry, self.mend, self.void, self.restart, self.adopt])()

    def submit(self) -> None:
        specs = tuple(self.wanted() for _ in range(self.some([1, 2, 3])))
        self.do(ev.Submit(specs, "me", self.ended(), self.groups()))

    def begin(self) -> None:
        if (job := self.job(Pending)) is not None:
            self.do(ev.AttemptStarted(job.id, job.attempt, 7, self.now, 1.0))

    def end(self) -> None:
        if (job := self.job(Running)) is None:
            return
        if self.random.random() < 0.1:
            self.do(ev.AttemptLost(job.id, job.attempt, "runner-died"))
            return
        result = ev.Result(self.some([0, 0, 1]), None, None, "", self.now, self.now, 1.0)
        self.do(ev.AttemptEnded(job.id, job.attempt, result))

    def void(self) -> None:
        if (job := self.job(Pending)) is not None:
            self.do(ev.AttemptVoid(job.id, job.attempt))

    def adopt(self) -> None:
        """The last daemon had handed it over, and died before it wrote that down."""
        if self.core.leases.room_without_gpu() and (job := self.job(Queued)) is not None:
            self.do(ev.Adopt(job.id, ()))

    def edit(self) -> None:
        if (job := self.job(Queued)) is not None:
            self.do(ev.Edit(job.id, self.wanted(), self.some([None, None, True, False]), *self.known(job)))

    def rename(self) -> None:
        """An edit that has nothing to do with what it waits for."""
        if (job := self.job(Queued)) is None:
            return
        assert isinstance(job.state, Queued)
        let_down = job.state.unmet  # then it is decided anew: what it waited for may have been retried
        before = job.bound, {*job.waits_for}, {*job.waits_for_groups}, job.state
        self.do(ev.Edit(job.id, structs.replace(job.spec, name="new"), None, *self.known(job)))
        assert job.id in self.core.jobs, "cancelled for its name"
        assert let_down or not isinstance(job.state, Queued) or self.waits_of(job) == before, "waits for its name"

    def known(self, job: Job) -> tuple[dict[int, Any], dict[str, Any]]:
        """As requests.py finds it."""
        return self.ended(), self.groups(job.id)

    def cancel(self) -> None:
        if (job := self.job(Queued, Running)) is not None:
            self.do(ev.Cancel(job.id))

    def hold(self) -> None:
        if (job := self.job(Queued)) is not None:
            self.do(ev.Hold(job.id))

    def release(self) -> None:
        if (job := self.job(Queued)) is not None:
            self.do(ev.Release(job.id))
            assert isinstance(job.state, Pending) or job.state == Queued()

    def retry(self) -> None:
        gone = [job for job in self.written.values() if job.ended]
        if gone:
            job = self.some(gone).snapshot()
            self.do(ev.Retry(job, *self.known(job)))

    def mend(self) -> None:
        """Who has let somebody down is tried again, and ends well."""
        held = [job.state for job in self.core.jobs.values() if isinstance(job.state, Queued) and job.state.unmet]
        if held and (gone := self.written[self.some(held).unmet_by]).ended:
            self.do(ev.Retry(gone.snapshot(), *self.known(gone)))
            for _ in range(20):
                if gone.id in self.core.jobs:
                    self.all_end_well()

    def restart(self) -> None:
        """With what is written, the same jobs wait for the same."""
        before, jobs = self.core, [job.snapshot() for job in self.written.values() if not job.ended]
        self.core = Core([], cpu_jobs=PLACES, next_id=before.next_id, counts=Counter(self.ended().values()))
        self.core.restore(jobs, self.ended(), self.now, paused=False, draining=False)
        was, now = self.waits(before), self.waits(self.core)
        assert was.keys() == now.keys()
        for job in was:
            assert was[job] == now[job], f"job {job}: {before.jobs[job]}"
        self.do(ev.Tick())

    @staticmethod
    def waits_of(job: Job) -> tuple[object, ...]:
        return job.bound, job.waits_for, job.waits_for_groups, job.state

    @staticmethod
    def waits(core: Core) -> dict[int, object]:
        return {job.id: (job.state, job.waits_for, job.waits_for_groups, job.met) for job in core.jobs.values()}

    def all_end_well(self) -> None:
        for job in self.core.active():
            self.do(ev.AttemptStarted(job.id, job.attempt, 7, self.now, 1.0))
            self.do(ev.AttemptEnded(job.id, job.attempt, ev.Result(0, None, None, "", 1.0, self.now, 1.0)))

    def quiet(self) -> None:
        """Whoever is held is released, and every job ends well: so everybody gets his turn."""
        for _ in range(1000):
            for job in [*self.core.jobs.values()]:
                if isinstance(job.state, Queued) and job.state.is_held:
                    self.do(ev.Release(job.id))
            self.all_end_well()
            if not self.core.jobs:
                return
        raise AssertionError([why(self.core, job, self.now) for job in self.core.jobs.values()])


def test_jobs_that_wait_for_each_other_in_all_ways() -> None:
    seen = Counter[str]()

    @settings(max_examples=150, deadline=None)
    @given(st.randoms(use_true_random=True))
    def live(random: Random) -> None:
        life = Life(random)
        for _ in range(random.randrange(20, 120)):
            life.step()
        life.quiet()
        seen.update(life.seen)

    live()
    few = min(seen["cancelled"], seen["kept"], seen["late"], 20 * seen["forgiven"])
    assert few > 100, f"lives that show little: {seen}"
