"""Memory that is in use on a GPU and of nobody that the driver lists; what has to come back, and who remembers it."""

from __future__ import annotations

from core.machine import GIB, Machine, running, spec

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.card import Trace
from trainqueue.core.job import Job, Running
from trainqueue.core.limits import Limits
from trainqueue.core.reading import Process, Reading, Sighting
from trainqueue.core.why import why

MIB = 2**20


def says(machine: Machine, job: int) -> tuple[str | None, str | None]:
    return why(machine.core, machine.core.jobs[job], machine.now)


def later(machine: Machine, *jobs: Job) -> Machine:
    """The next daemon on the same machine; `jobs` are what the journal has."""
    other = Machine(0)
    other.cards = machine.cards
    other.core.restore(jobs, {}, 0.0, paused=False, draining=False, traces=machine.core.traces())
    other.core.next_id = machine.core.next_id
    return other


# -- of nobody


def test_much_memory_that_nobody_uses_who_is_listed_keeps_a_gpu() -> None:
    machine = Machine(1)
    machine.cards[0].rest = 20 * GIB
    machine.round()
    machine.submit()
    machine.answer_all()
    sentence = "20 GiB of GPU 0 are in use by nobody that the driver lists: trainq-cli gpus --enable 0 accepts that"
    assert (machine.started, says(machine, 1)) == ([], ("gpu-memory", sentence))
    [overdue] = machine.timers
    machine.do(overdue)
    assert [(told.healthy, told.why) for told in machine.told] == [(False, sentence)]
    machine.cards[0].rest = GIB
    machine.answer()
    assert machine.started == [1]
    assert machine.told[-1].healthy


def test_what_a_person_has_accepted_is_not_shared_out() -> None:
    machine = Machine(1)
    machine.cards[0].rest = 14 * GIB
    machine.round()
    machine.do(ev.SetGpu("0", enabled=True))
    machine.round()
    machine.submit(spec(gpu_memory=12 * GIB))
    machine.answer_all()
    assert machine.started == []
    machine.do(ev.Cancel(1))
    machine.submit(spec(gpu_memory=8 * GIB))
    machine.answer_all()
    assert machine.started == [2]


def test_what_was_accepted_and_has_gone_is_not_lent_to_the_next_job() -> None:
    machine = Machine(1)
    machine.cards[0].rest = 5 * GIB
    machine.round()
    machine.do(ev.SetGpu("0", enabled=True))
    machine.submit(spec(), spec())
    machine.answer_all()
    machine.run(1, 4 * GIB)
    machine.cards[0].rest = GIB // 2  # what was accepted comes back while the job runs
    machine.round()
    machine.end(1, lingers=4 * GIB)
    machine.answer_all()
    assert machine.started == [1]
    machine.cards[0].lingers = 0
    machine.answer()
    machine.answer_all()
    assert machine.started == [1, 2]


def test_a_person_accepts_it_and_that_is_remembered() -> None:
    machine = Machine(1)
    machine.cards[0].rest = 20 * GIB
    machine.round()
    machine.do(ev.SetGpu("0", enabled=True))
    machine.answer_all()
    machine.submit()
    machine.answer_all()
    assert machine.started == [1]
    machine.run(1, GIB)
    machine.end(1)
    machine.answer_all()
    other = later(machine)
    other.submit()
    other.round()
    assert other.started == [2]


def test_a_stranger_that_goes_from_the_list_and_not_from_the_memory() -> None:
    machine = Machine(1)
    machine.stranger("GPU-0", 9 * GIB)
    machine.round()
    assert machine.core.traces() == {}  # it is known who has it
    machine.cards[0].processes.clear()
    machine.cards[0].lingers = 9 * GIB
    machine.submit()
    machine.round()
    assert (machine.started, machine.core.use("GPU-0")) == ([], "memory")


# -- what has to come back


def test_what_each_job_leaves_behind_does_not_add_up() -> None:
    machine = Machine(1)
    machine.round()
    for job in (1, 2):
        machine.submit()
        machine.answer_all()
        machine.run(job)
        machine.end(job, lingers=200 * MIB)
        machine.answer_all()
        assert machine.core.use("GPU-0") == ("free" if job == 1 else "memory")


def test_less_memory_in_use_than_before_is_what_must_come_back() -> None:
    machine = running()
    machine.cards[0].rest = 0
    machine.end(1)
    machine.answer_all()
    machine.submit()
    machine.answer_all()
    assert machine.core.traces() == {"GPU-0": Trace(0, due=True)}


def test_a_gpu_without_a_baseline_that_waits_is_waited_for_by_the_next_daemon() -> None:
    machine = Machine(1)
    left = Job(9, spec(), "me", 0.0, 0, 0, state=Running(("GPU-0",), 7, 1.0))
    machine.core.restore([left], {}, 0.0, paused=False, draining=False)
    machine.core.next_id = 10
    assert machine.core.traces() == {"GPU-0": Trace(due=True)}
    machine.card("GPU-0").processes.append(Process(99, 5 * GIB, 9, "me", "python"))
    machine.round()
    machine.end(9, lingers=5 * GIB)
    machine.answer()
    assert machine.core.traces() == {"GPU-0": Trace(due=True)}
    other = later(machine)
    assert other.core.traces() == {"GPU-0": Trace(due=True)}
    other.submit()
    other.round()
    assert (other.started, other.core.use("GPU-0")) == ([], "memory")


def test_a_gpu_that_is_away_when_the_daemon_starts_has_not_been_forgotten_when_it_is_back() -> None:
    machine = running()
    machine.end(1, lingers=GIB // 2)
    machine.answer()
    traces = machine.core.traces()
    assert traces["GPU-0"].due
    other = later(machine)
    other.cards[0].lost = True
    other.round()
    assert other.core.traces() == traces
    other.cards[0].lost = False
    other.submit()
    other.round()
    assert (other.started, other.core.use("GPU-0")) == ([], "memory")
    other.cards[0].lingers = 0
    while not other.started:
        other.answer()


def test_what_nobody_measures_leaves_no_trace() -> None:
    machine = Machine(0)
    machine.do(ev.Seen(Sighting((Reading("cpu:0", 0, "CPU", None, measured=False),))))
    machine.submit()
    assert machine.core.use("cpu:0") == "held"
    assert machine.core.traces() == {}


# -- strangers of unknown size


def test_a_stranger_of_unknown_size_is_not_taken_for_memory_that_is_not_back() -> None:
    for ignored, use in ((False, "foreign"), (True, "free")):
        machine = running()
        machine.end(1)
        [overdue] = machine.timers
        machine.cards[0].rest += 6 * GIB  # which are the stranger's
        machine.stranger("GPU-0", None, ignored=ignored)
        machine.answer()
        assert machine.core.use("GPU-0") == use
        machine.do(overdue)
        assert (machine.told, machine.core.use("GPU-0")) == ([], use)
        assert machine.core.traces() == {"GPU-0": Trace(GIB // 4)}


def test_with_a_stranger_of_unknown_size_processes_of_the_job_still_count() -> None:
    machine = running()
    machine.stranger("GPU-0", None, ignored=True)
    machine.end(1, listed=True)
    machine.answer()
    assert machine.core.use("GPU-0") == "memory"
    machine.reap(machine.cards[0], 1)
    machine.answer()
    assert machine.core.use("GPU-0") == "free"


def test_only_processes_of_jobs_that_have_left_are_called_theirs() -> None:
    """Not those of a job that is on another GPU, nor of one of unknown size that shares this one."""
    machine = Machine(2)
    machine.round()
    machine.submit(*[spec(gpu_memory=GIB, gpu_from=(0,))] * 2, spec(gpu_from=(1,)))
    for job in (1, 2):
        machine.answer_all()
        machine.run(job)
        machine.do(ev.Settled(job, 1))
    machine.answer_all()
    card = machine.card("GPU-0")
    card.processes = [Process(one.pid, None, one.job) for one in card.processes]
    card.processes.insert(0, Process(777, GIB, 3))
    machine.end(1, listed=True)
    machine.round()
    assert machine.core.board.cards["GPU-0"].waiting == "GPU 0 still has 1 of job 1's processes (pid 101)"


# -- errors, over a restart


def test_a_critical_error_is_remembered_by_the_next_daemon() -> None:
    machine = Machine(1)
    machine.cards[0].xids = [48]
    machine.round()
    assert machine.core.traces() == {"GPU-0": Trace(xid=48)}
    other = later(machine)
    other.submit()
    other.round()
    assert (other.started, other.core.use("GPU-0"), other.told) == ([], "unhealthy", [])
    other.do(ev.SetGpu("0", enabled=True))
    other.answer_all()
    assert other.started == [1]
    assert later(other).core.traces()["GPU-0"].xid is None


def test_a_late_error_is_not_told_of_a_gpu_that_was_given_up() -> None:
    machine = running(2)
    machine.end(1, code=1, lingers=5 * GIB)
    machine.answer()
    machine.card("GPU-0").xids = [31]
    machine.round()
    assert machine.explained == [fx.Explained(1, 1, "Xid 31 (GPU memory page fault) on GPU 0")]
    machine.do(machine.timers[0])
    machine.card("GPU-0").xids = [31]
    machine.round()
    assert len(machine.explained) == 1


def test_a_late_error_is_not_told_of_a_job_that_was_retried() -> None:
    machine = running(2)
    machine.end(1, code=1, lingers=5 * GIB)
    ended = machine.changed[-1].job
    machine.do(ev.Retry(ended))
    machine.card("GPU-0").xids = [31]
    machine.round()
    assert machine.started == [1, 1]
    assert machine.explained == []


# -- GPUs that are divided


def part(at: int, of: str = "GPU-0") -> Reading:
    return Reading(f"MIG-{at}", at, "1g.10gb", 10 * GIB, memory_used=0, processes=(), part_of=of)


def test_a_gpu_that_is_divided_in_another_way_leaves_no_ghost() -> None:
    machine = Machine(2)
    machine.round()
    other = machine.card("GPU-1").reading(processes=True)

    def shown(*readings: Reading) -> list[str]:
        machine.do(ev.Seen(Sighting((*readings, other))))
        return [*machine.core.board.cards]

    whole = machine.card("GPU-0").reading(processes=True)
    assert shown(part(1), part(2)) == ["GPU-1", "MIG-1", "MIG-2"]
    assert shown(part(3)) == ["GPU-1", "MIG-3"]
    assert shown(whole) == ["GPU-0", "GPU-1"]
    assert machine.told == []
    machine.do(ev.Seen(Sighting((whole,))))
    assert [*machine.core.board.cards] == ["GPU-0", "GPU-1"]  # that one is lost


def test_a_part_with_a_job_stays_until_the_job_has_gone() -> None:
    machine = Machine(0)
    machine.do(ev.Seen(Sighting((part(1),))))
    core = machine.core
    core.handle(ev.Submit((spec(),), "me"), 1.0)
    core.handle(ev.Seen(Sighting((part(1),), whole=False, answers=(1,))), 2.0)
    core.handle(ev.Seen(Sighting((part(2),))), 3.0)
    assert {gpu: core.use(gpu) for gpu in core.board.cards} == {"MIG-1": "held", "MIG-2": "free"}
    core.handle(ev.AttemptEnded(1, 1, ev.Result(1, None, None, "", 4.0, 4.0)), 4.0)
    assert [*core.board.cards] == ["MIG-2"]
    core.validate()


def test_what_a_person_forgives_is_measured_by_the_first_look_that_can() -> None:
    """Not by one that does not tell how much is in use, nor by none where the daemon dies before it."""
    machine = running()
    machine.end(1, lingers=5 * GIB)
    machine.answer()
    machine.do(machine.timers[0])
    machine.do(ev.SetGpu("0", enabled=True))
    machine.cards[0].blind = True
    machine.round()
    assert machine.core.traces() == {"GPU-0": Trace(GIB // 4, forgiven=True)}
    other = later(machine)
    other.cards[0].blind = False
    other.round()
    assert other.core.traces() == {"GPU-0": Trace(5 * GIB + GIB // 4)}
    other.submit()
    other.answer_all()
    assert other.started == [2]


# -- what people have switched, and what the settings say later


def test_settings_of_later_count_where_people_have_only_undone_what_they_did() -> None:
    machine = Machine(2)
    machine.round()
    for enabled in (True, False, True):
        machine.do(ev.SetGpu("GPU-0", enabled=enabled))
    machine.do(ev.SetGpu("GPU-1", enabled=False))
    assert machine.core.choices() == {"GPU-1": False}
    later = Machine(0, Limits(left_out=("0",)))
    later.cards = machine.cards
    later.core.restore([], {}, 0.0, paused=False, draining=False, choices=machine.core.choices())
    later.round()
    assert [later.core.use(gpu) for gpu in ("GPU-0", "GPU-1")] == ["disabled", "disabled"]
    later.do(ev.SetGpu("GPU-0", enabled=True))
    assert later.core.choices() == {"GPU-0": True, "GPU-1": False}
