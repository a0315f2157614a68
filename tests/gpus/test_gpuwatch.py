"""The GpuWatch actor: when it looks, and that nothing waits for it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from fakenvml import pynvml
from machine import GIB
from support import wait_until

from trainqueue import gpuwatch
from trainqueue.core import effects as fx
from trainqueue.core import events as ev
from trainqueue.core.arbiter import Core
from trainqueue.core.reading import Process, Reading, Sighting
from trainqueue.core.spec import JobSpec
from trainqueue.gpus import FakeGpus, NoGpu, nvml
from trainqueue.gpuwatch import GpuWatch
from trainqueue.messages.gpus import LookNow, Sighted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from house import Told
    from machine import Machine

    from trainqueue.gpus import Inventory
    from trainqueue.gpus.nvml import NvmlGpus


class Stub(NoGpu):
    """An inventory that keeps what it was asked for, and may be kept from answering."""

    def __init__(self, *, measured: bool = True) -> None:
        self.measured = measured
        self.processes: tuple[Process, ...] = ()
        self.asked: list[tuple[set[str] | None, bool]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.closed = 0

    def look(self, gpu_ids: Collection[str] | None, *, processes: bool) -> Sighting:
        self.asked.append((None if gpu_ids is None else {*gpu_ids}, processes))
        assert self.gate.wait(10)
        return Sighting(
            (Reading("GPU-a", 0, "a GPU", None, measured=self.measured, processes=self.processes),),
            whole=gpu_ids is None,
        )

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def crashes() -> list[BaseException | None]:
    return []


@pytest.fixture
def start(arbiter: Told, crashes: list[BaseException | None]) -> Iterator[Any]:
    refs = list[Any]()

    def begin(inventory: Inventory) -> Any:
        refs.append(GpuWatch.start(inventory, arbiter.ref, crashes.append))
        return refs[-1]

    yield begin
    for ref in refs:
        gpuwatch.stop(ref)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No look of its own after the first."""
    monkeypatch.setattr(gpuwatch, "GLANCE", 1000.0)
    monkeypatch.setattr(gpuwatch, "PROCESSES", 1000.0)


def sightings(arbiter: Told, count: int) -> list[Sighting]:
    wait_until(lambda: len(arbiter.of(Sighted)) >= count)
    return [told.sighting for told in arbiter.of(Sighted)]


@pytest.mark.usefixtures("quiet")
def test_the_first_look_comes_by_itself(arbiter: Told, machine: Machine, gpus: NvmlGpus, start: Any) -> None:
    start(gpus)
    [sighting] = sightings(arbiter, 1)
    assert [reading.id for reading in sighting.readings] == machine.uuids()
    assert [reading.processes for reading in sighting.readings] == [(), ()]


@pytest.mark.usefixtures("quiet")
def test_it_looks_at_once_when_asked(arbiter: Told, machine: Machine, gpus: NvmlGpus, start: Any) -> None:
    watch = start(gpus)
    sightings(arbiter, 1)
    machine.process(machine.uuids()[1], GIB, pid=2**22 + 1)
    watch.tell(LookNow((machine.uuids()[1],)))
    sighting = sightings(arbiter, 2)[1]
    assert not sighting.whole
    [reading] = sighting.readings
    assert reading.processes is not None
    assert [process.memory for process in reading.processes] == [GIB]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("asked", "looked"),
    [([("a",), ("b", "c"), ("a",)], {"a", "b", "c"}), ([("a",), (), ("b",)], None)],
    ids=["some", "all"],
)
def test_what_was_asked_meanwhile_becomes_one_look(
    arbiter: Told, start: Any, asked: list[tuple[str, ...]], looked: set[str] | None
) -> None:
    stub = Stub()
    stub.gate.clear()
    watch = start(stub)
    wait_until(lambda: stub.asked)
    for gpu_ids in asked:
        watch.tell(LookNow(gpu_ids))
    stub.gate.set()
    assert [sighting.whole for sighting in sightings(arbiter, 2)] == [True, looked is None]
    watch.ask(LookNow(("z",)))  # so that all before it is done
    assert stub.asked == [(None, True), (looked, True), ({"z"}, True)]


def test_by_itself_it_looks_often_and_at_processes_less_often(
    arbiter: Told, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpuwatch, "GLANCE", 0.02)
    monkeypatch.setattr(gpuwatch, "PROCESSES", 0.2)
    stub, began = Stub(), time.monotonic()
    start(stub)
    wait_until(lambda: len([1 for _, processes in stub.asked if processes]) >= 3)
    with_processes = [at for at, (_, processes) in enumerate(stub.asked) if processes]
    assert time.monotonic() - began >= 0.4
    assert with_processes[0] == 0
    assert with_processes[2] - with_processes[0] > 2, "most looks are glances"
    assert all(gpu_ids is None for gpu_ids, _ in stub.asked)
    assert len(arbiter.of(Sighted)) >= len(stub.asked) - 1


def test_while_a_job_is_on_a_gpu_every_look_lists_processes(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpuwatch, "GLANCE", 0.02)
    monkeypatch.setattr(gpuwatch, "PROCESSES", 0.3)
    stub = Stub()
    stub.processes = (Process(1, GIB, job=7),)
    start(stub)
    wait_until(lambda: len(stub.asked) >= 6)
    assert all(processes for _, processes in stub.asked[:6])
    stub.processes = ()
    wait_until(lambda: not stub.asked[-1][1])


@pytest.mark.parametrize("inventory", [NoGpu(), FakeGpus(2, 24 * GIB)], ids=["none", "pretend"])
def test_it_sleeps_where_nothing_can_be_measured(arbiter: Told, start: Any, inventory: Inventory) -> None:
    watch = start(inventory)
    [sighting] = sightings(arbiter, 1)
    assert not any(reading.measured for reading in sighting.readings)
    assert watch.actor_inbox._timers == []
    watch.tell(LookNow(()))
    assert sightings(arbiter, 2)[1] == sighting


def test_it_goes_on_looking_at_a_driver_that_does_not_work(
    arbiter: Told, machine: Machine, gpus: NvmlGpus, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpuwatch, "GLANCE", 0.02)
    monkeypatch.setattr(nvml, "RETRY", 0.05)
    machine.change(init_error="DRIVER_NOT_LOADED")
    start(gpus)
    assert "not loaded" in str(sightings(arbiter, 1)[0].trouble)
    machine.change(init_error=None)
    wait_until(lambda: sightings(arbiter, 1)[-1].trouble is None)


@pytest.mark.usefixtures("quiet")
def test_what_goes_wrong_is_in_the_log_once(
    arbiter: Told, machine: Machine, gpus: NvmlGpus, start: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    machine.gpu(0, errors=dict.fromkeys(["nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMemoryInfo"], "UNKNOWN"))
    watch = start(gpus)
    for count in (1, 2):
        watch.ask(LookNow(()))
        sightings(arbiter, count)
    said = [record.getMessage() for record in caplog.records if record.name == "trainqueue.gpuwatch"]
    [line] = said
    assert line.startswith(f"GPU 0 ({machine.uuids()[0]}): the driver cannot read it")


@pytest.mark.usefixtures("quiet")
def test_a_look_names_those_that_were_asked_for_before_it_began(arbiter: Told, start: Any) -> None:
    stub = Stub()
    stub.gate.clear()
    watch = start(stub)
    wait_until(lambda: stub.asked)
    for number in (1, 2):
        watch.tell(LookNow(("a",), number))
    stub.gate.set()
    sightings(arbiter, 2)
    watch.tell(LookNow(("a",)))
    assert [sighting.answers for sighting in sightings(arbiter, 3)] == [(), (1, 2), ()]


class Decided:
    """A core that is told what the watch sees, and whose looks go to it."""

    def __init__(self, watch: Any, arbiter: Told) -> None:
        self.core, self.watch, self.arbiter = Core([]), watch, arbiter
        self.heard = 0
        self.started: list[tuple[int, tuple[str, ...]]] = []

    def do(self, event: ev.Event) -> None:
        for effect in self.core.handle(event, time.time()):
            if isinstance(effect, fx.Look):
                self.watch.tell(LookNow(effect.gpu_ids, effect.number))
            elif isinstance(effect, fx.Start):
                self.started.append((effect.job.id, effect.gpu_ids))
        self.core.validate()

    def hear(self) -> None:
        """The next that is seen."""
        self.heard += 1
        self.do(ev.Seen(sightings(self.arbiter, self.heard)[self.heard - 1]))


@pytest.mark.usefixtures("quiet")
def test_a_job_that_comes_and_goes_behind_the_back_of_a_look(
    arbiter: Told, machine: Machine, gpus: NvmlGpus, start: Any
) -> None:
    watch, uuid = start(gpus), machine.uuids()[0]
    decided = Decided(watch, arbiter)
    decided.hear()
    decided.do(ev.Submit((JobSpec(command=("true",), cwd="/", gpu_from=(0,)),) * 2, "me"))
    decided.hear()
    assert decided.started == [(1, (uuid,))]

    machine.gpu(1, block=["nvmlDeviceGetTemperature"])
    before = machine.calls("nvmlDeviceGetTemperature")
    watch.tell(LookNow(()))
    wait_until(lambda: machine.calls("nvmlDeviceGetTemperature") == before + 2)  # GPU 0 has been read
    decided.do(ev.AttemptStarted(1, 1, 2**22 + 1, time.time(), 1.0))
    base = machine.read()["gpus"][0]["base"]
    machine.gpu(0, base=base + 5 * GIB)  # it has ended, and its memory is not back
    decided.do(ev.AttemptEnded(1, 1, ev.Result(0, None, None, "", time.time(), time.time())))
    machine.gpu(1, block=[])

    decided.hear()  # of the time before it
    decided.hear()
    assert (len(decided.started), decided.core.use(uuid)) == (1, "memory")
    machine.gpu(0, base=base)
    while not decided.started[1:]:
        decided.hear()
    assert decided.started[1:] == [(2, (uuid,))]


@pytest.mark.usefixtures("quiet")
def test_it_stops_though_the_driver_does_not_answer(
    arbiter: Told, machine: Machine, gpus: NvmlGpus, start: Any, caplog: pytest.LogCaptureFixture
) -> None:
    watch = start(gpus)
    sightings(arbiter, 1)
    machine.change(block=["nvmlDeviceGetMemoryInfo_v2"])
    before = machine.calls("nvmlDeviceGetMemoryInfo_v2")
    watch.tell(LookNow(()))
    wait_until(lambda: machine.calls("nvmlDeviceGetMemoryInfo_v2") > before)
    gpuwatch.stop(watch)  # which returns while the driver does not
    assert watch.actor_inbox.thread.is_alive()
    assert "the NVIDIA driver does not answer" in caplog.text
    machine.change(block=[])
    wait_until(lambda: not watch.actor_inbox.thread.is_alive())
    assert machine.calls("nvmlShutdown") == 1


@pytest.mark.usefixtures("quiet")
def test_it_stops_though_the_driver_has_never_answered(machine: Machine, gpus: NvmlGpus, start: Any) -> None:
    machine.change(block=["*"])
    watch = start(gpus)
    wait_until(lambda: machine.calls("nvmlInitWithFlags"))
    gpuwatch.stop(watch)
    assert watch.actor_inbox.thread.is_alive()
    machine.change(block=[])
    wait_until(lambda: not watch.actor_inbox.thread.is_alive())


@pytest.mark.usefixtures("quiet", "arbiter")
def test_at_its_end_the_driver_is_let_go(machine: Machine, gpus: NvmlGpus, start: Any, arbiter: Told) -> None:
    watch = start(gpus)
    sightings(arbiter, 1)
    gpuwatch.stop(watch)
    assert machine.calls("nvmlShutdown") == 1
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()


@pytest.mark.usefixtures("expected_crash")
def test_its_own_fault_ends_the_daemon(start: Any, crashes: list[BaseException | None]) -> None:
    stub = Stub()
    del stub.gate
    start(stub)
    wait_until(lambda: crashes)
    assert isinstance(crashes[0], AttributeError)
    assert stub.closed == 1
