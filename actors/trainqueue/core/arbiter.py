"""The whole state of the queue and every decision about it.

`Core.handle(event, now)` is the only way to change it. It checks first and changes last: when it raises
RequestError nothing has changed. It returns effects; the GPUArbiter actor performs them. Ended jobs leave
the memory as soon as the effect that writes them down is returned.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core import invariants
from trainqueue.core.control import obeyed, stopped
from trainqueue.core.dependencies import asks_the_same
from trainqueue.core.ends import Ends
from trainqueue.core.expect import told_end
from trainqueue.core.job import Cancelled, Ended, Job, Pending, Queued, Running
from trainqueue.core.line import GAP, between
from trainqueue.core.outcome import unmet
from trainqueue.core.spec import band
from trainqueue.core.stalls import judge
from trainqueue.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainqueue.core.card import Trace
    from trainqueue.core.job import StateName
    from trainqueue.core.lanes import Choice
    from trainqueue.core.limits import Limits
    from trainqueue.core.line import Place
    from trainqueue.core.past import Past
    from trainqueue.core.spec import JobSpec


class Core(Ends):
    """Decides over the books and the GPUs, at the word of people, runners, the clock and the watch."""

    def __init__(
        self,
        gpu_ids: Iterable[str],
        *,
        cpu_jobs: int | None = None,
        next_id: int = 1,
        max_waiting: int = 1_000_000,
        counts: Mapping[str, int] | None = None,
        limits: Limits | None = None,
        past: Past | None = None,
    ) -> None:
        super().__init__(gpu_ids, cpu_jobs=cpu_jobs, next_id=next_id, counts=counts, limits=limits, past=past)
        self.max_waiting = max_waiting

    def restore(
        self,
        jobs: Iterable[Job],
        ended: Mapping[int, StateName],
        now: float,
        *,
        paused: bool,
        draining: bool,
        pause_reason: str | None = None,
        crashes: Iterable[int] = (),
        paused_since: float | None = None,
        choices: Mapping[str, bool] | None = None,
        traces: Mapping[str, Trace] | None = None,
        lanes: Mapping[str, Choice] | None = None,
    ) -> None:
        """What the journal holds, see `load` and `recall`. Nothing is dispatched before the first event."""
        self.guard.row = [*crashes]
        self.paused, self.draining = paused, draining
        self.pause_reason, self.paused_since = pause_reason, paused_since
        self.lanes.recall(lanes or {})
        self.load(jobs, ended, now)
        self.recall(choices or {}, traces or {}, now)

    # -- the one door

    def handle(  # noqa: PLR0912, PLR0915  (one arm an event)
        self, event: ev.Event, now: float, *, dispatch: bool = True
    ) -> list[fx.Effect]:
        """Decide; `dispatch=False` (while recovering) starts nothing.

        Raises RequestError, with nothing changed, for what a person asked and cannot have.
        """
        self.fresh, self.started, self.keeping, self.barring, self.now = set(), [], None, {}, now
        match event:
            case ev.AttemptEnded() | ev.AttemptStarted() | ev.AttemptLost() | ev.AttemptVoid():
                self._attempt(event, now)
            case ev.Submit():
                self._submit(event, now)
            case ev.Cancel():
                self._cancel(self._find(event.job), now, force=event.force)
            case ev.Signal() | ev.Suspend() | ev.Continue() | ev.Preempt():
                self._control(event)
            case ev.Hold():
                self._hold(self._queued(event.job, "held"), now, held=True)
            case ev.Release():
                self._hold(self._queued(event.job, "released"), now, held=False)
            case ev.Retry():
                self._retry(event, now)
            case ev.Move():
                self._move(event, now)
            case ev.Edit():
                self._edit(event, now)
            case ev.Reconsidered():
                self._reconsider(event, now)
            case ev.SetMode():
                self._set_mode(event)
            case ev.Block():
                self._block(event.reason)
            case ev.Unblock():
                self.blocked = self.blocked if event.block != self._blocks else None
            case ev.Tick():
                self._tick(now)
            case ev.Adopt():
                self._adopt(event, now)
            case ev.Progressed():
                self._progressed(event)
            case ev.Seen() | ev.ProofOverdue() | ev.Settled() | ev.SetGpu():
                self._of_gpus(event, now)
            case ev.Stalled() | ev.Stirred():
                self._effects += judge(self.jobs.get(event.job), event)
            case ev.SetLane():
                self._set_lane(event.name, event.choice, now)
            case ev.RemoveLane():
                self._remove_lane(event.name)
            case ev.Forgotten():
                self.counts.subtract(event.counts)
            case _:
                assert_never(event)
        if dispatch:
            self._dispatch(now)
        self._ask()
        if (at := self.alarms.next()) is not None:
            self._effects.append(fx.WakeAt(at))
        return self.take_effects()

    # -- what people ask

    def _submit(self, event: ev.Submit, now: float) -> None:
        if len(self.line) + len(event.specs) > self.max_waiting:
            raise RequestError("limit", f"$.jobs: at most {self.max_waiting} jobs may wait; {len(self.line)} do")
        made, first = set[str](), self.next_id
        for at, spec in enumerate(event.specs):
            self._dependencies.check(spec, event, f"$.jobs[{at}]", made)
            self.lanes.check(spec, f"$.jobs[{at}]")
            if spec.group is not None:
                made.add(spec.group)
        for spec in event.specs:
            job = Job(self.next_id, spec, event.user, now, band(spec), self.next_rank, state=Queued(held=spec.hold))
            self.next_id += 1
            self.next_rank += GAP
            again = spec.group in spec.after_group  # a sweep after an earlier one of its name, and not job after job
            self._dependencies.groups.bind(job, first if again else job.id)
            self.jobs[job.id] = job
            self.counts["queued"] += 1
            self._dependencies.groups.join(job)
            self._dependencies.add(job, event.ended)
            self._enqueue(job, now)
            self._effects.append(fx.Changed(job.snapshot()))
            self._fail_if_impossible(job, event, now)

    def _cancel(self, job: Job, now: float, *, force: bool) -> None:
        match job.state:
            case Queued():
                self._end(job, Cancelled(ended_at=now), now)
            case Pending() | Running():
                job.restate(stopped(job.state))
                self._end_expected_anew(job)
                self._effects += [fx.Changed(job.snapshot()), fx.Stop(job.id, job.attempt, force)]
            case _:
                raise RequestError("conflict", f"job {job.id} has ended already ({job.state.name})")

    def _control(self, event: ev.Control) -> None:
        job = self._find(event.job)
        told = obeyed(job, event)
        if told != job.state:
            job.restate(told)
            self._end_expected_anew(job)
            self._effects.append(fx.Changed(job.snapshot()))
        self._effects.append(fx.Tell(job.id, job.attempt))

    def _hold(self, job: Job, now: float, *, held: bool) -> None:
        """A person's word. Who is released starts in spite of what can no longer be met; his retry keeps its moment.

        One that nobody holds, and that only waits for its retry, starts at once.
        """
        assert isinstance(job.state, Queued)
        if held and not job.state.held:
            self._stand_anew(job, replace(job.state, held=True), now)
        if held or job.state == Queued():  # which has nothing to be waived
            return
        self._dependencies.waive(job)
        self._stand_anew(job, Queued(until=job.state.until if job.state.held else None), now)

    def _retry(self, event: ev.Retry, now: float) -> None:
        job = event.job
        waits = self.jobs.get(job.id)
        if waits is not None and event.spec is None and getattr(waits.state, "until", None) is not None:
            assert isinstance(waits.state, Queued)
            self._stand_anew(waits, replace(waits.state, until=None), now)  # at once, then
            return
        if waits is not None:
            raise RequestError("conflict", f"job {job.id} has not ended, it is {waits.state.name}")
        spec, where = event.spec or job.spec, "$.set" if event.spec is not None else f"job {job.id}"
        self._dependencies.check(spec, event, where, before=job)
        self.lanes.check(spec, where)
        self._dependencies.check_cycle(self._dependencies.wish(job, spec, self.next_id), where)
        self._refuse_hopeless(job, spec, event, where)
        if band(spec) != band(job.spec):
            job.band = band(spec)
        self._dependencies.change(job, spec)
        job.spec = spec
        self._dependencies.groups.bind(job, self.next_id)
        self._dependencies.groups.join(job)
        if isinstance(job.state, Ended):
            self._effects.append(fx.AttemptOver(job.id, job.attempt, job.state))
        self._requeue(job, self.next_rank, event.ended, now, Queued(held=event.held))
        self.next_rank += GAP
        self._fail_if_impossible(job, event, now)

    def _move(self, event: ev.Move, now: float) -> None:
        job = self._queued(event.job, "moved")
        before = None if event.before is None else self._queued(event.before, "a place in the line")
        if before is not None and not self.line.has_ready(before) and self.gates.outside(before) is None:
            sentence = f"job {before.id} stands in no line now, since it is held or waits for something"
            raise RequestError("conflict", f"{sentence}: name one that has a position, or a position")
        if event.before == job.id:
            raise RequestError("bad-request", "$.before: a job cannot go before itself")
        self._leave_line(job)
        around = self._around(event)
        spot = between(*around, job.band)
        if spot is None:
            assert around[0] is not None
            self._spread(around[0])
            spot = between(*self._around(event), job.band)
            assert spot is not None
        job.band, job.rank = spot
        self.next_rank = max(self.next_rank, job.rank + GAP)
        self._enqueue(job, now)
        self._effects.append(fx.Moved(job.snapshot()))

    def _around(self, event: ev.Move) -> tuple[Place | None, Place | None]:
        """The places between which it is to stand."""
        if event.before is not None:
            return self.line.in_front_of(self.jobs[event.before])
        return self.line.neighbours(event.position or len(self.line) + 1)

    def _spread(self, around: Place) -> None:
        """Make room there. Who runs is renumbered with them: his next attempt may have to stand among them."""
        ranks = self.line.spread(around, self.active())
        self.gates.renumber(ranks)
        for job, rank in ranks:
            self.next_rank = max(self.next_rank, rank + GAP)
            self._effects.append(fx.Moved(job.snapshot(), told=False))

    def _edit(self, event: ev.Edit, now: float) -> None:
        job, spec, deps = self._queued(event.job, "edited"), event.spec, self._dependencies
        assert isinstance(job.state, Queued)
        anew = spec.after_group != job.spec.after_group or bool(job.state.unmet)
        deps.check(spec, event, "$.set", before=job)
        self.lanes.check(spec, "$.set")
        known = event if anew else replace(event, groups={})
        wish = deps.wish(job, spec, self.next_id if anew else None)
        if anew or not asks_the_same(job.spec, spec):
            deps.check_cycle(wish, "$.set")
        self._refuse_hopeless(job, spec, known, "$.set")
        self._leave_line(job)
        if band(spec) != band(job.spec):
            job.band = band(spec)
        if event.hold is not None or job.state.unmet:
            held = job.state.held if event.hold is None else event.hold
            job.restate(Queued(held=held, until=job.state.until))
        deps.change(job, spec)
        self._regroup(job, spec, now)
        job.bound, job.waits_for_groups = wish.bound, {*wish.groups}
        deps.add(job, event.ended)
        self._enqueue(job, now)
        self._effects.append(fx.Changed(job.snapshot()))
        self._fail_if_impossible(job, known, now)

    def _refuse_hopeless(self, job: Job, spec: JobSpec, known: ev.Known, where: str) -> None:
        """Raises RequestError for a wish that would be its end at once."""
        if not spec.keep and (found := self._dependencies.impossible(job, spec, known)) is not None:
            advice = "retry that one first, let it wait for something else, or hold it meanwhile with keep"
            sentence = f"{unmet(spec, *found)}, so job {job.id} would never start; {advice}"
            raise RequestError("conflict", f"{where}: {sentence}")

    def _regroup(self, job: Job, spec: JobSpec, now: float) -> None:
        """Give it its new spec; who waited for it as one of its group may have nobody left to wait for."""
        before = job.spec.group
        self._dependencies.groups.leave(job)
        job.spec = spec
        self._dependencies.groups.join(job)
        for other in self._dependencies.relieved(before) if before != spec.group else ():
            if isinstance(other.state, Queued):
                self._stand_anew(other, other.state, now)

    # -- what runners say

    def _adopt(self, event: ev.Adopt, now: float) -> None:
        job = self._queued(event.job, "adopted")
        self._hold_gpus(job, event.gpu_ids, None)
        self._dependencies.waive(job, living=True)
        self._leave_line(job)
        self._become(job, Pending(event.gpu_ids, now))
        self._effects.append(fx.Changed(job.snapshot()))

    def _progressed(self, event: ev.Progressed) -> None:
        job = self.jobs.get(event.job)
        if job is not None and job.attempt == event.attempt and isinstance(job.state, Pending | Running):
            if told_end(event.progress) != told_end(job.progress):
                self._end_expected_anew(job)
            job.progress = event.progress
            self._effects.append(fx.Reported(job.snapshot()))

    # -- when starts may happen

    def _tick(self, now: float) -> None:
        for job in self.alarms.ring(now):
            self._leave_line(self.jobs[job])
            self._enqueue(self.jobs[job], now)

    def _dispatch(self, now: float) -> None:
        if self.draining and not any(isinstance(job.state, Pending | Running) for job in self.active()):
            self._effects.append(fx.Drained())
        if self.may_start():
            self._start_without_gpu(now)
            self._start_on_gpus(now)

    # -- the truth about itself

    def validate(self) -> None:
        """Raises InvariantError when a promise of the design (section 4) is broken. Called after every test step."""
        invariants.check(self, self.now)
