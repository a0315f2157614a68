"""A job gets a GPU only when it is free in fact: readings, foreign processes, proven release, trouble, people."""

from __future__ import annotations

import pytest
from core.machine import GIB, SICK, Machine, running, spec

from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.card import Trace
from trainqueue.core.job import Failed, Job, Running
from trainqueue.core.limits import Limits
from trainqueue.core.reading import Process, Reading, Sighting
from trainqueue.core.why import why
from trainqueue.errors import RequestError
from trainqueue.gpuview import gpu_views


def says(machine: Machine, job: int) -> tuple[str | None, str | None]:
    return why(machine.core, machine.core.jobs[job], machine.now)


def seen(machine: Machine) -> Machine:
    machine.see()
    return machine


# -- the fresh rule


def test_a_start_waits_for_a_look_and_happens_in_its_answer() -> None:
    machine = seen(Machine(2))
    [job] = machine.submit()
    assert machine.looks == [fx.Look(("GPU-0",), number=1)]
    assert machine.state(job) == "queued"
    machine.answer()
    assert machine.started == [job]


def test_a_look_is_not_asked_for_twice() -> None:
    machine = seen(Machine(1))
    machine.submit()
    machine.submit()
    machine.do(ev.Tick())
    machine.see(processes=False)
    machine.see()
    assert machine.looks == [fx.Look(("GPU-0",), number=1)]


def test_a_round_that_nobody_asked_for_starts_nothing() -> None:
    machine = seen(Machine(2))
    machine.stranger("GPU-1")
    machine.see()
    [job] = machine.submit(spec(gpus=2))
    machine.card("GPU-1").processes.clear()
    machine.see()
    assert machine.started == []
    [look] = machine.looks
    assert look.gpu_ids == ("GPU-0", "GPU-1")
    machine.answer()
    assert machine.started == [job]


# -- a reading may be older than it seems


def test_an_answer_from_before_a_job_began_does_not_prove_that_its_memory_is_back() -> None:
    machine = running(2)
    machine.end(1)
    machine.begin_look(["GPU-0"], asked=True)  # the driver blocks at the next one
    machine.card("GPU-0").lingers = 5 * GIB
    [job] = machine.submit()
    machine.do(ev.Adopt(job, ("GPU-0",)))
    machine.end(job)
    machine.go_on()
    assert machine.core.use("GPU-0") == "memory"
    machine.card("GPU-0").lingers = 0
    for _ in [*machine.looks]:
        machine.answer()
    assert machine.core.use("GPU-0") == "free"


def test_a_round_from_before_a_job_began_does_not_prove_that_its_memory_is_back() -> None:
    machine = seen(Machine(2))
    machine.submit(spec(gpu_from=(0,)), spec(gpu_from=(0,)))
    machine.answer()
    machine.begin_look(["GPU-0"])
    machine.run(1)
    machine.end(1, lingers=5 * GIB)
    machine.go_on()
    assert (machine.started, machine.core.use("GPU-0")) == ([1], "memory")
    machine.card("GPU-0").lingers = 0
    machine.answer()
    assert machine.started == [1, 2]


def test_an_answer_from_before_a_start_was_wanted_does_not_start_it() -> None:
    machine = seen(Machine(1))
    machine.submit()
    machine.begin_look(["GPU-0"], asked=True)
    machine.do(ev.Cancel(1))
    machine.stranger("GPU-0")
    machine.submit()
    machine.go_on()
    assert machine.started == []
    machine.answer()
    assert says(machine, 2)[0] == "gpu-foreign"


def test_an_answer_from_before_a_sharer_left_does_not_prove_that_it_has() -> None:
    machine = seen(Machine(1))
    machine.submit(spec(gpu_memory=8 * GIB))
    machine.answer()
    machine.run(1)
    machine.do(ev.Settled(1, 1))
    machine.submit(spec(gpu_memory=8 * GIB))
    machine.answer()
    machine.submit(spec(gpu_memory=4 * GIB))
    machine.do(ev.AttemptStarted(2, 1, 4242, machine.now, 1.0))
    machine.do(ev.Settled(2, 1))
    machine.begin_look(["GPU-0"], asked=True)  # before its process is there
    machine.card("GPU-0").processes.append(Process(4242, GIB, 2))
    machine.end(2, listed=True)
    machine.go_on()
    assert (machine.started, machine.core.use("GPU-0")) == ([1, 2], "held")
    assert machine.core.board.cards["GPU-0"].proof is not None


def test_what_a_driver_that_was_silent_tells_at_last_is_old() -> None:
    machine = seen(Machine(1))
    machine.submit()
    machine.begin_look(["GPU-0"], asked=True)
    machine.do(ev.Seen(Sighting(trouble=SICK)))
    machine.stranger("GPU-0")
    machine.go_on()
    assert machine.started == []
    machine.answer()
    assert says(machine, 1)[0] == "gpu-foreign"


def test_looks_that_become_one_are_all_answered() -> None:
    machine = seen(Machine(2))
    machine.submit(spec(gpu_from=(0,)), spec(gpu_from=(1,)))
    machine.looks.clear()
    readings = tuple(card.reading(processes=True) for card in machine.cards)
    machine.do(ev.Seen(Sighting(readings, answers=(1, 2))))
    assert machine.started == [1, 2]


def test_memory_that_is_back_after_all_is_looked_at_again() -> None:
    machine = running()
    machine.end(1, lingers=5 * GIB)
    machine.answer()
    machine.do(machine.timers[0])
    machine.looks.clear()
    machine.do(ev.Seen(Sighting((), whole=False, answers=(3,))))
    machine.see()
    assert machine.looks == []
    machine.card("GPU-0").lingers = 0
    machine.see()
    assert machine.core.use("GPU-0") == "unhealthy"
    machine.answer()
    assert machine.core.use("GPU-0") == "free"


def test_an_answer_without_the_gpu_is_asked_for_again_ever_later() -> None:
    machine = seen(Machine(2))
    machine.submit(spec(gpus=2))
    delays: list[float] = []
    for _ in range(9):
        [look] = machine.looks
        delays.append(look.after)
        machine.answer(lacking=["GPU-1"])
    assert delays == [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    machine.answer()
    assert machine.started == [1]


def test_an_empty_answer_does_not_silence_us() -> None:
    machine = seen(Machine(1))
    machine.submit()
    machine.answer(lacking=["GPU-0"])
    assert machine.looks == [fx.Look(("GPU-0",), 0.05, 2)]


def test_a_gpu_that_does_not_tell_its_processes_is_not_given_out_and_the_next_is() -> None:
    machine = seen(Machine(2))
    machine.submit()
    machine.looks.clear()
    mute = machine.cards[0].reading(processes=False)
    machine.do(ev.Seen(Sighting((mute,), whole=False, answers=(1,))))
    assert machine.core.use("GPU-0") == "foreign"
    assert machine.looks == [fx.Look(("GPU-1",), number=2)]
    machine.answer()
    assert machine.core.jobs[1].gpu_ids == ("GPU-1",)
    machine.submit()
    assert says(machine, 2)[0] == "gpu-foreign"
    assert "the driver does not tell which processes are on GPU 0" in str(says(machine, 2)[1])
    machine.round()
    assert machine.started == [1, 2]


def test_gpus_that_are_not_measured_start_at_once() -> None:
    core = Core(["cpu:0"])
    core.handle(ev.Seen(Sighting((Reading("cpu:0", 0, "CPU", None, measured=False),))), 0.0)
    effects = core.handle(ev.Submit((spec(), spec()), "me"), 0.0)
    assert [type(effect) for effect in effects] == [fx.Changed, fx.Changed, fx.Changed, fx.Start]
    effects = core.handle(ev.AttemptEnded(1, 1, ev.Result(0, None, None, "", 1.0, 2.0)), 2.0)
    assert [type(effect) for effect in effects] == [fx.Changed, fx.Changed, fx.Changed, fx.Start]
    core.validate()


# -- foreign processes


def test_a_foreign_process_keeps_a_gpu_until_it_goes() -> None:
    machine = seen(Machine(1))
    eve = machine.stranger("GPU-0", int(6.1 * GIB))
    machine.see()
    machine.submit()
    assert machine.looks == []
    assert says(machine, 1) == ("gpu-foreign", f"GPU 0 is used by eve (pid {eve.pid}, 6.1 GiB)")
    assert machine.core.use("GPU-0") == "foreign"
    machine.cards[0].processes.clear()
    machine.round()
    assert machine.started == [1]


def test_a_foreign_process_that_comes_before_the_answer_is_seen() -> None:
    machine = seen(Machine(1))
    machine.submit()
    machine.stranger("GPU-0", None)
    machine.answer()
    assert machine.started == []
    assert says(machine, 1)[1] == "GPU 0 is used by eve (pid 101)"


def test_an_ignored_process_is_in_nobodys_way() -> None:
    machine = seen(Machine(1))
    machine.stranger("GPU-0", 10 * GIB, ignored=True)
    machine.submit()
    machine.answer()
    assert machine.started == [1]


def test_a_job_on_a_gpu_that_it_was_not_given_is_a_stranger_there() -> None:
    machine = running(2)
    [process] = machine.card("GPU-0").processes
    machine.card("GPU-1").processes.append(process)
    machine.see()
    machine.submit()
    assert machine.looks == []
    assert "GPU 1 is used by job 1, which was not given it" in str(says(machine, 2)[1])


# -- proven release


def test_memory_must_come_back_before_the_next_start() -> None:
    machine = running()
    machine.submit()
    machine.end(1, lingers=5 * GIB)
    delays: list[float] = []
    for _ in range(8):
        [look] = machine.looks
        delays.append(look.after)
        machine.answer()
    assert delays == [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    sentence = "GPU 0 waits for the memory of job 1 to come back (5 GiB of it)"
    assert says(machine, 2) == ("gpu-memory", sentence)
    assert machine.core.use("GPU-0") == "memory"
    machine.cards[0].lingers = GIB // 5  # within the tolerance
    machine.answer()
    assert machine.started == [1, 2]


def test_the_hand_over_takes_one_look() -> None:
    machine = running()
    machine.submit()
    machine.end(1)
    assert machine.looks == [fx.Look(("GPU-0",), number=2)]
    machine.answer()
    assert machine.started == [1, 2]
    assert machine.looks == []


def test_a_process_of_the_job_that_is_still_listed_keeps_the_gpu() -> None:
    machine = running()
    machine.submit()
    machine.end(1, listed=True)
    machine.answer()
    assert says(machine, 2) == ("gpu-memory", "GPU 0 still has 1 of job 1's processes (pid 101)")
    machine.reap(machine.cards[0], 1)
    machine.answer()
    assert machine.started == [1, 2]


def test_memory_that_does_not_come_back_makes_a_gpu_unhealthy_and_the_others_go_on() -> None:
    machine = running(2, limits=Limits(release_timeout=60.0))
    machine.submit(spec(gpus=2), spec(), spec())
    machine.end(1, lingers=5 * GIB)
    machine.answer()
    [overdue] = machine.timers
    machine.do(overdue)
    [told] = machine.told
    sentence = (
        f"GPU 0 waits for the memory of job 1 to come back (5 GiB of it): {machine.core.board.cards['GPU-0'].given_up}"
    )
    assert (told.gpu, told.healthy, told.enabled, told.why) == ("GPU-0", False, True, sentence)
    assert says(machine, 2) == ("gpu-count", f"needs 2 GPUs; {sentence}")
    machine.round()
    assert machine.started == [1, 3]
    machine.cards[0].lingers = 0
    machine.round()
    assert machine.told[1:] == [fx.GpuChanged("GPU-0", healthy=True, enabled=True, why=None)]
    machine.end(3)
    machine.answer_all()
    assert machine.started == [1, 3, 2]


def test_a_proof_that_is_over_cannot_be_overdue() -> None:
    machine = running()
    machine.end(1)
    machine.answer()
    [stale] = machine.timers
    machine.submit()
    machine.answer()
    machine.run(2)
    machine.end(2, lingers=5 * GIB)
    machine.do(stale)
    assert machine.told == []


def test_strangers_memory_is_nobodys_debt() -> None:
    machine = running()
    machine.stranger("GPU-0", 8 * GIB, ignored=True)
    machine.submit()
    machine.end(1)
    machine.answer()
    assert machine.started == [1, 2]


def test_without_a_known_baseline_a_gibibyte_may_be_in_use() -> None:
    for rest, then in ((GIB, [1]), (GIB + 1, [])):
        machine = Machine(1)
        machine.cards[0].rest = rest
        left = Job(9, spec(), "me", 0.0, 0, 0, state=Running(("GPU-0",), 7, 1.0))
        machine.core.restore([left], {}, 0.0, paused=False, draining=False)
        machine.core.next_id = 1
        machine.see()
        machine.end(9)
        machine.submit()
        machine.answer()
        assert machine.started == then


def test_baselines_survive_the_daemon() -> None:
    machine = running()
    assert machine.core.traces() == {"GPU-0": Trace(GIB // 4, due=True)}
    machine.end(1, lingers=5 * GIB)
    other = Machine(1)
    other.cards = machine.cards
    other.core.restore([], {}, 0.0, paused=False, draining=False, traces=machine.core.traces())
    other.submit()
    other.round()
    assert (other.started, other.core.use("GPU-0")) == ([], "memory")
    other.cards[0].lingers = 0
    other.answer()
    assert other.started == [1]
    machine.cards[0].lingers = 0
    machine.answer()
    assert machine.core.traces() == {"GPU-0": Trace(GIB // 4)}


def test_a_gpu_of_an_old_baseline_that_is_not_there_any_more_is_forgotten() -> None:
    machine = Machine(1)
    machine.core.restore([], {}, 0.0, paused=False, draining=False, traces={"GPU-old": Trace(0, due=True, xid=79)})
    machine.see()
    assert [*machine.core.board.cards] == ["GPU-0"]


def test_processes_that_an_earlier_daemon_has_left_are_waited_for() -> None:
    machine = running()
    other = Machine(1)
    other.cards = machine.cards
    other.submit()
    other.see()
    assert other.started == []
    assert other.core.use("GPU-0") == "memory"
    assert [timer for timer in other.timers if isinstance(timer, ev.ProofOverdue)]


# -- health


def test_a_lost_gpu_is_said_and_comes_back() -> None:
    machine = running(2)
    machine.submit(spec(gpus=2), spec(gpus=2, gpu_from=(1, 0)))
    machine.card("GPU-1").lost = True
    machine.see()
    machine.see()
    sentence = "GPU 1 is lost: the driver does not show it any more"
    assert machine.told == [fx.GpuChanged("GPU-1", healthy=False, enabled=True, why=sentence)]
    assert says(machine, 2) == ("gpu-count", f"needs 2 GPUs; {sentence}")
    assert machine.core.line.position(machine.core.jobs[2]) is None
    machine.card("GPU-1").lost = False
    machine.see()
    assert len(machine.told) == 2
    assert machine.core.line.position(machine.core.jobs[2]) == 1


def test_a_look_at_a_gpu_that_is_lost_meanwhile() -> None:
    machine = seen(Machine(2))
    machine.submit()
    machine.card("GPU-0").lost = True
    machine.round()
    assert machine.core.jobs[1].gpu_ids == ("GPU-1",)


def test_trouble_with_the_driver_is_everybodys_and_passes() -> None:
    machine = running(2)
    machine.submit(spec(gpus=2), spec())
    machine.looks.clear()
    machine.driver = SICK
    machine.see()
    machine.see()
    assert [(told.gpu, told.healthy, told.why) for told in machine.told] == [
        ("GPU-0", False, SICK),
        ("GPU-1", False, SICK),
    ]
    assert says(machine, 2) == ("gpu-count", SICK)
    assert [machine.core.line.position(machine.core.jobs[job]) for job in (2, 3)] == [1, 2]
    assert machine.looks == []
    machine.driver = None
    machine.see()
    assert [(told.gpu, told.healthy) for told in machine.told[2:]] == [("GPU-0", True), ("GPU-1", True)]


def test_before_anybody_has_looked_jobs_keep_their_places() -> None:
    machine = Machine(2)
    machine.submit(spec(gpus=4), spec())
    assert says(machine, 1) == ("gpu-count", "which GPUs this machine has is being found out")
    machine.driver = SICK
    machine.see()
    assert says(machine, 1) == ("gpu-count", SICK)
    machine.driver = None
    machine.round()
    assert says(machine, 1) == ("gpu-count", "needs 4 GPUs, this machine has 2")
    assert machine.started == [2]


def test_a_critical_error_condemns_a_gpu_until_a_person_forgives() -> None:
    machine = seen(Machine(1))
    machine.card("GPU-0").xids = [48]
    machine.see(processes=False)
    machine.see()
    machine.submit()
    [told] = machine.told
    sentence = "GPU 0 has had an uncorrectable memory error (Xid 48): trainq-cli gpus --enable 0 trusts it again"
    assert told.why == sentence
    assert says(machine, 1) == ("gpu-count", sentence)
    machine.do(ev.SetGpu("0", enabled=True))
    machine.answer_all()
    assert machine.started == [1]


def test_a_critical_error_is_forgiven_when_the_gpu_was_away() -> None:
    machine = seen(Machine(1))
    machine.card("GPU-0").xids = [79]
    machine.see()
    machine.card("GPU-0").lost = True
    machine.see()
    machine.card("GPU-0").lost = False
    machine.see()
    assert [told.healthy for told in machine.told] == [False, True]


def test_a_fault_of_the_program_is_told_with_its_failure() -> None:
    machine = running()
    machine.card("GPU-0").xids = [31]
    machine.see()
    assert machine.told == []
    machine.end(1, code=1)
    state = machine.changed[-1].job.state
    assert isinstance(state, Failed)
    assert state.message == "the driver reported Xid 31 (GPU memory page fault) on GPU 0"


def test_a_fault_that_is_reported_after_the_end_is_told_as_well() -> None:
    machine = running()
    machine.submit()
    machine.end(1, code=1)
    machine.card("GPU-0").xids = [31]
    machine.answer()
    assert machine.explained == [fx.Explained(1, 1, "Xid 31 (GPU memory page fault) on GPU 0")]
    machine.run(2)
    machine.card("GPU-0").xids = [13]
    machine.see()
    assert len(machine.explained) == 1


def test_a_success_has_no_faults() -> None:
    machine = running()
    machine.card("GPU-0").xids = [31]
    machine.see()
    machine.end(1)
    assert machine.changed[-1].job.state.name == "completed"


def test_a_gpu_with_trouble_of_its_own() -> None:
    machine = seen(Machine(1))
    ill = Reading("GPU-0", 0, "", None, trouble="it does not answer")
    machine.do(ev.Seen(Sighting((ill,))))
    machine.submit()
    assert says(machine, 1) == ("gpu-count", "GPU 0: it does not answer")
    assert machine.core.board.cards["GPU-0"].reading.memory_total == 24 * GIB


# -- people


def test_a_disabled_gpu_is_left_alone_and_comes_back() -> None:
    machine = running(2)
    machine.do(ev.SetGpu("GPU-1", enabled=False))
    machine.submit(spec(gpus=2), spec(gpu_from=(1,)))
    disabled = "GPU 1 is disabled: trainq-cli gpus --enable 1"
    assert machine.told == [fx.GpuChanged("GPU-1", healthy=True, enabled=False, why=disabled)]
    assert says(machine, 2) == ("gpu-count", f"needs 2 GPUs; {disabled}")
    assert says(machine, 3) == ("gpu-count", disabled)
    assert machine.core.use("GPU-1") == "disabled"
    assert machine.core.choices() == {"GPU-1": False}
    machine.do(ev.SetGpu("1", enabled=True))
    assert machine.core.line.position(machine.core.jobs[2]) == 1
    machine.end(1)
    machine.answer_all()
    assert machine.started == [1, 2]


def test_to_disable_a_gpu_leaves_its_job_alone() -> None:
    machine = running()
    machine.do(ev.SetGpu("0", enabled=False))
    machine.see()
    assert machine.state(1) == "running"
    machine.submit()
    machine.end(1)
    machine.see()
    assert machine.started == [1]


def test_settings_leave_gpus_out_and_people_decide_otherwise() -> None:
    machine = Machine(3, limits=Limits(left_out=("0", "GPU-2")))
    machine.core.restore([], {}, 0.0, paused=False, draining=False, choices={"GPU-2": True, "GPU-1": False})
    machine.see()
    assert [card.enabled for card in machine.core.board.cards.values()] == [False, False, True]
    assert machine.told == []


def test_a_gpu_that_nobody_knows_cannot_be_disabled() -> None:
    machine = running()
    with pytest.raises(RequestError, match="there is no GPU 7"):
        machine.core.handle(ev.SetGpu("7", enabled=False), 0.0)


def test_to_enable_a_gpu_takes_its_missing_memory_for_lost() -> None:
    machine = running()
    machine.submit()
    machine.end(1, lingers=5 * GIB)
    machine.answer()
    machine.do(machine.timers[0])
    machine.cards[0].rest += machine.cards[0].lingers
    machine.cards[0].lingers = 0
    machine.do(ev.SetGpu("0", enabled=True))
    machine.see()
    machine.answer()  # asked for before a start was wanted
    assert machine.started == [1]
    machine.answer()
    assert machine.started == [1, 2]


# -- what can never be had


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"gpus": 4}, "needs 4 GPUs, this machine has 2"),
        ({"gpu_min_memory": 48 * GIB}, "no GPU here has 48 GiB"),
        ({"gpu_memory": 48 * GIB}, "no GPU here has 48 GiB"),
        ({"gpu_name": "h100", "gpu_min_memory": GIB}, "no GPU here is called h100 and has 1 GiB"),
        ({"gpu_from": (7,)}, "no GPU here is 7"),
        ({"gpus": 2, "gpu_from": ("1",)}, "needs 2 GPUs, and here only these are so: GPU 1 (is 1)"),
    ],
)
def test_what_can_never_be_had_stops_nobody(wish: dict[str, object], sentence: str) -> None:
    machine = seen(Machine(2))
    machine.submit(spec(**wish), spec())
    machine.answer_all()
    assert machine.started == [2]
    assert says(machine, 1) == ("gpu-count", sentence)


def test_a_new_gpu_brings_parked_jobs_back_in_their_order() -> None:
    machine = seen(Machine(2))
    machine.do(ev.SetMode(paused=True, draining=False))
    machine.submit(spec(gpus=3), spec(hold=True, gpus=3), spec(), spec(gpus=3))
    machine.cards.append(type(machine.cards[0])("GPU-2", 2))
    machine.see()
    assert [machine.core.line.position(machine.core.jobs[job]) for job in (1, 2, 3, 4)] == [1, None, 2, 3]


def test_only_what_changes_for_a_job_moves_it() -> None:
    machine = seen(Machine(2))
    machine.do(ev.SetMode(paused=True, draining=False))
    machine.submit(*[spec()] * 5, spec(gpus=2))
    line, removed = machine.core.line, list[int]()
    remove = line.remove

    def noted(job: Job) -> None:
        removed.append(job.id)
        remove(job)

    line.remove = noted  # type: ignore[method-assign]
    machine.see()
    assert removed == []
    machine.card("GPU-1").lost = True
    machine.see()
    assert removed == [6]


# -- reservations, as people see them


def test_a_gpu_that_is_kept_for_a_wide_job_is_said() -> None:
    machine = running(2)
    machine.submit(spec(gpus=2), spec())
    machine.answer_all()
    assert machine.started == [1]
    assert (machine.core.use("GPU-0"), machine.core.use("GPU-1")) == ("held", "reserved")
    assert says(machine, 2) == (
        "position",
        "next in line; needs 2 GPUs: 1 is kept for it; GPU 0 runs job 1",
    )
    sentence = "position 2 in the line; GPU 1 is kept for job 2, which needs 2 GPUs"
    assert says(machine, 3) == ("position", sentence)
    assert machine.core.wanted()
    machine.end(1)
    machine.answer_all()
    assert machine.started == [1, 2]
    assert machine.core.use("GPU-1") == "held"


def test_who_is_on_what_a_wide_job_lacks_is_said_with_the_time_that_is_left() -> None:
    machine = seen(Machine(8))
    machine.submit(*[spec(time_limit=limit) for limit in (7500, 110, 30, 40)], spec())
    machine.answer_all()
    machine.submit(spec(gpus=8))
    machine.answer_all()
    code, sentence = says(machine, 6)
    assert code == "position"
    assert sentence is not None
    kept, *busy, more = sentence.split("; ")[1:]
    assert (kept, more) == ("needs 8 GPUs: 3 are kept for it", "and 3 more")
    assert busy == [
        "GPU 0 runs job 1 (expected to end within 2 h 05 min)",
        "GPU 1 runs job 2 (expected to end within 2 min)",
    ]


def test_without_anybody_who_waits_a_gpu_is_free() -> None:
    machine = running(2)
    assert machine.core.use("GPU-1") == "free"
    assert not machine.core.wanted()
    machine.card("GPU-1").lost = True
    machine.see()
    assert machine.core.use("GPU-1") == "unhealthy"


# -- names


def test_the_beginning_of_two_names_is_said_and_stops_nobody() -> None:
    machine = seen(Machine(2))
    machine.cards[0].id, machine.cards[1].id = "GPU-fake-a", "GPU-fake-b"
    machine.see()
    machine.submit(spec(gpu_from=("GPU-fake",)), spec(gpu_from=("GPU-fake-b",)))
    machine.answer_all()
    assert machine.core.jobs[2].gpu_ids == ("GPU-fake-b",)
    assert says(machine, 1) == ("gpu-count", "GPU-fake is the beginning of several GPUs: GPU-fake-a, GPU-fake-b")
    assert machine.core.line.position(machine.core.jobs[1]) is None


# -- what people see


def shown(machine: Machine, gpu: int) -> tuple[str, bool, str | None]:
    view = gpu_views(machine.core)[gpu]
    return view["use"], view["healthy"], view["why"]


def test_a_gpu_that_is_not_given_out_says_why() -> None:
    machine = running(3)
    assert [shown(machine, at) for at in range(3)] == [("held", True, None), ("free", True, None), ("free", True, None)]
    [process] = machine.card("GPU-0").processes
    machine.card("GPU-1").processes.append(process)
    eve, bob = machine.stranger("GPU-2", GIB), machine.stranger("GPU-2", 2 * GIB)
    machine.see()
    assert shown(machine, 1) == ("foreign", True, "GPU 1 is used by job 1, which was not given it (pid 101, 6 GiB)")
    assert shown(machine, 2) == ("foreign", True, f"GPU 2 is used by eve (pid {bob.pid}, 2 GiB) and 1 other")
    machine.card("GPU-1").processes.clear()
    machine.card("GPU-2").processes.remove(bob)
    machine.card("GPU-2").processes.remove(eve)
    machine.see()
    machine.submit(spec(gpu_from=(2,)))
    machine.card("GPU-2").silent = True
    machine.answer()
    assert shown(machine, 2) == ("foreign", True, "the driver does not tell which processes are on GPU 2")
    machine.card("GPU-2").silent = False
    machine.submit(spec(gpus=3))
    machine.round()
    machine.do(ev.Cancel(2))
    assert shown(machine, 1)[0] == "reserved"


# -- strangers who stay


def test_who_has_been_there_for_long_is_expected_to_stay_for_as_long() -> None:
    """Else a notebook that holds a GPU for a week keeps every GPU of a wide job idle for that week."""
    machine = seen(Machine(2))
    machine.stranger("GPU-1")
    machine.see()
    machine.submit(spec(gpus=2), spec(time_limit=500.0), spec(time_limit=5000.0), spec())
    machine.answer_all()
    assert machine.started == []
    machine.now += 700.0
    machine.round()
    assert machine.started == [2]
    machine.end(2)
    machine.cards[1].processes.clear()
    machine.answer_all()
    machine.round()
    assert machine.started == [2, 1]


def test_what_bars_a_job_is_said_wherever_it_stands() -> None:
    machine = seen(Machine(2))
    machine.stranger("GPU-1")
    machine.see()
    machine.submit(spec(gpus=2), spec(gpu_from=("1",)), spec())
    machine.answer_all()
    assert says(machine, 2) == ("gpu-foreign", "GPU 1 is used by eve (pid 101, 6 GiB)")
    assert says(machine, 3)[0] == "position"


def test_a_person_need_not_wait_until_memory_is_given_up() -> None:
    machine = running(1)
    machine.end(1, lingers=5 * GIB)
    machine.answer()
    assert machine.core.use("GPU-0") == "memory"
    machine.do(ev.SetGpu("GPU-0", enabled=True))
    machine.submit(spec())
    machine.cards[0].rest, machine.cards[0].lingers = 5 * GIB, 0
    machine.answer_all()
    assert machine.started[-1] == 2
