"""Several jobs on one GPU, in the state: shares, settling, measured peaks, proofs of those that leave others behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from core.machine import GIB, Machine, spec

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.job import Job, Pending, Queued, Running
from trainqueue.core.leases import LeaseError, Leases
from trainqueue.core.limits import Limits
from trainqueue.core.past import Runs
from trainqueue.core.why import why

if TYPE_CHECKING:
    from trainqueue.core.spec import JobSpec

SHARE = 7 * GIB


def sharing(*shares: int, memory: int = GIB) -> Machine:
    """Jobs 1, 2, ... share GPU 0; each has settled, with so much memory in use."""
    machine = Machine(1, limits=Limits(settle_time=30.0))
    machine.see()
    for share in shares:
        [job] = machine.submit(spec(gpu_memory=share))
        machine.answer_all()
        machine.run(job, memory)
        machine.do(ev.Settled(job, 1))
        machine.answer_all()
    return machine


def test_leases_refuse_what_does_not_fit() -> None:
    leases = Leases(1)
    leases.sizes["a"] = 10
    leases.take(1, ("a",), 6)
    for share in (None, 5):
        with pytest.raises(LeaseError):
            leases.take(2, ("b", "a"), share)
    assert leases.held() == {"a": {1: 6}}
    leases.take(2, ("a",), 4)
    with pytest.raises(LeaseError):
        leases.take(3, ("a",), 1)
    assert leases.release(1) == ("a",)
    leases.take(3, ("a",), 6)
    assert leases.held() == {"a": {2: 4, 3: 6}}
    assert leases.jobs() == [2, 3]


def test_a_whole_gpu_is_shared_with_nobody() -> None:
    leases = Leases(1)
    leases.take(1, ("a",))
    assert leases.in_the_way(2, ("a",), 1) == [1]
    assert leases.in_the_way(1, ("a",), 1) == []


def test_the_next_sharer_waits_until_the_one_before_has_settled() -> None:
    machine = Machine(1, limits=Limits(settle_time=30.0))
    machine.see()
    machine.submit(spec(gpu_memory=SHARE), spec(gpu_memory=SHARE))
    machine.answer_all()
    assert machine.started == [1]
    machine.see()
    machine.run(1, GIB)
    assert machine.timers == [ev.Settled(1, 1)]
    machine.see()
    assert machine.started == [1]
    sentence = "waits until job 1 on GPU 0 has its full memory, or has run for a while; GPU 0 is in use"
    assert why(machine.core, machine.core.jobs[2], 0.0) == ("position", sentence)
    machine.do(machine.timers[0])
    assert machine.started == [1]
    machine.answer()
    assert machine.started == [1, 2]
    assert isinstance(machine.core.jobs[2].state, Pending)
    assert machine.core.jobs[2].state.share == SHARE


def test_a_sharer_that_has_reached_its_share_has_settled() -> None:
    machine = sharing()
    machine.submit(spec(gpu_memory=SHARE), spec(gpu_memory=SHARE))
    machine.answer_all()
    machine.run(1, SHARE * 89 // 100)
    machine.see()
    assert machine.started == [1]
    machine.reap(machine.cards[0], 1)
    machine.run(1, SHARE * 91 // 100)
    machine.round()
    assert machine.started == [1, 2]


def test_a_time_to_settle_of_an_attempt_that_is_over_says_nothing() -> None:
    machine = sharing()
    machine.submit(spec(gpu_memory=SHARE, retries={"exit": 1}), spec(gpu_memory=SHARE))
    machine.answer_all()
    machine.run(1)
    [stale] = machine.timers
    machine.end(1, code=1)
    machine.answer_all()
    machine.run(1)
    machine.do(stale)
    machine.see()
    assert machine.started == [1, 1]


def test_those_that_are_found_running_get_their_time_again() -> None:
    machine = Machine(1, limits=Limits(settle_time=30.0))
    left = Job(9, spec(gpu_memory=SHARE), "me", 0.0, 0, 0, state=Running(("GPU-0",), 7, 1.0, share=SHARE))
    machine.core.next_id = 10
    machine.core.restore([left], {}, 0.0, paused=False, draining=False)
    effects = machine.core.handle(ev.Tick(), 0.0)
    assert fx.SettleAfter(30.0, 9, 1) in effects
    machine.see()
    machine.submit(spec(gpu_memory=SHARE))
    assert machine.looks == []
    machine.do(ev.Settled(9, 1))
    machine.answer_all()
    assert machine.started == [10]


def test_a_sharer_that_leaves_is_proven_by_its_processes_alone() -> None:
    machine = sharing(SHARE, SHARE)
    machine.submit(spec(gpu_memory=SHARE))
    machine.answer_all()
    assert machine.started == [1, 2, 3]
    machine.run(3)
    machine.do(ev.Settled(3, 1))
    machine.submit(spec(gpu_memory=SHARE))
    assert why(machine.core, machine.core.jobs[4], 0.0)[1] == "needs 7 GiB, GPU 0 has 3 GiB to give; GPU 0 is in use"
    machine.end(1, listed=True)
    machine.answer()
    assert machine.started == [1, 2, 3]
    assert "GPU 0 still has 1 of job 1's processes" in str(why(machine.core, machine.core.jobs[4], 0.0)[1])
    machine.reap(machine.cards[0], 1)
    machine.answer()
    assert machine.started == [1, 2, 3, 4]


def test_the_last_of_several_must_give_all_memory_back() -> None:
    machine = sharing(SHARE, SHARE)
    machine.end(1, lingers=2 * GIB)
    machine.answer()
    machine.end(2)
    machine.submit()
    machine.answer()
    assert machine.started == [1, 2]
    machine.cards[0].lingers = 0
    machine.answer()
    assert machine.started == [1, 2, 3]


def test_a_stranger_on_a_shared_gpu_keeps_others_from_joining() -> None:
    machine = sharing(SHARE)
    eve = machine.stranger("GPU-0", GIB)
    machine.see()
    machine.submit(spec(gpu_memory=SHARE))
    assert machine.looks == []
    sentence = f"GPU 0 is used by eve (pid {eve.pid}, 1 GiB); GPU 0 is in use"
    assert why(machine.core, machine.core.jobs[2], 0.0)[1] == sentence


def test_a_whole_job_waits_for_all_sharers() -> None:
    machine = sharing(SHARE, SHARE)
    machine.submit()
    assert why(machine.core, machine.core.jobs[3], 0.0) == ("position", "next in line; GPU 0 is in use")
    machine.end(1)
    machine.answer_all()
    machine.end(2)
    machine.answer_all()
    assert machine.started == [1, 2, 3]


def test_peaks_are_kept_until_the_end_and_begin_anew() -> None:
    machine = Machine(2)
    machine.see()
    machine.submit(spec(gpus=2, retries={"exit": 1}))
    machine.answer_all()
    machine.run(1, 2 * GIB)
    machine.run(1, 3 * GIB)  # two processes on each GPU
    machine.see()
    for card in machine.cards:
        card.processes.pop()
    machine.see()
    assert machine.core.jobs[1].peak_memory == 5 * GIB
    assert machine.core.jobs[1].samples == 2
    machine.end(1, code=1)
    assert machine.core.jobs[1].peak_memory is None
    machine.answer_all()
    machine.run(1, 4 * GIB)
    machine.see()
    machine.end(1)
    assert machine.changed[-1].job.peak_memory == 4 * GIB


class Remembered:
    """Every command has run before, and used 4 GiB."""

    def runs(self, spec: JobSpec) -> Runs:
        del spec
        return Runs(1.0, 1.0, 4 * GIB)


def test_a_job_that_is_adopted_has_its_gpus_for_itself() -> None:
    """Who shares does not go before its row is written. What "auto" comes to now it was not when the job went."""
    machine = Machine(1, past=Remembered())
    running = Running(("GPU-0",), 7, 1.0, share=SHARE)
    left = Job(1, spec(gpu_memory=SHARE), "me", 0.0, 0, 0, state=running)
    found = Job(2, spec(gpu_memory="auto"), "me", 0.0, 0, 0, state=Queued())
    machine.core.restore([left, found], {}, 0.0, paused=False, draining=False)
    with pytest.raises(LeaseError):
        machine.core.handle(ev.Adopt(2, ("GPU-0",)), 0.0, dispatch=False)
    machine.core.handle(ev.AttemptVoid(1, 1), 0.0, dispatch=False)
    machine.core.handle(ev.Adopt(2, ("GPU-0",)), 0.0, dispatch=False)
    assert machine.core.leases.held() == {"GPU-0": {2: None}}
    machine.core.validate()


def test_the_first_sharer_waits_for_its_memory_as_well() -> None:
    machine = Machine(1)
    machine.stranger("GPU-0", 10 * GIB, ignored=True)
    machine.see()
    machine.submit(spec(gpu_memory=15 * GIB))
    machine.answer_all()
    assert machine.started == []
    sentence = "needs 15 GiB, on GPU 0 14 GiB are free"
    assert why(machine.core, machine.core.jobs[1], 0.0) == ("position", sentence)
    machine.cards[0].processes.clear()
    machine.round()
    assert machine.started == [1]


def test_what_an_idle_gpu_needs_itself_is_no_reason_to_wait() -> None:
    machine = Machine(1)
    machine.see()
    machine.submit(spec(gpu_memory=24 * GIB))
    machine.answer_all()
    assert machine.started == [1]


def test_what_is_in_use_beside_all_shares_is_not_given_away() -> None:
    machine = sharing(SHARE, SHARE)
    machine.stranger("GPU-0", 4 * GIB, ignored=True)
    machine.see()
    machine.submit(spec(gpu_memory=SHARE))
    machine.answer_all()
    sentence = "needs 7 GiB, on GPU 0 5.8 GiB are free beside what others may use; GPU 0 is in use"
    assert why(machine.core, machine.core.jobs[3], 0.0) == ("position", sentence)
    machine.cards[0].processes = [process for process in machine.cards[0].processes if process.job is not None]
    machine.round()
    assert machine.started == [1, 2, 3]
