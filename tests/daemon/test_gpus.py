"""The truth about GPUs, through a real daemon on a machine with pretend ones: who is on them, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import lab
from machine import GIB
from support import wait_until

if TYPE_CHECKING:
    from trainqueue.home import Home


def test_a_foreign_process_comes_and_goes(home: Home) -> None:
    with lab(home) as on:
        theirs = on.machine.process(on.uuid(), 6 * GIB + GIB // 10, pid=1)
        job = on.submit()
        assert on.until_why(job, "gpu-foreign") == "GPU 0 is used by root (pid 1, 6.1 GiB)"
        gpu = on.gpu()
        assert (gpu["foreign"][0]["pid"], gpu["foreign"][0]["user"], gpu["jobs"]) == (1, "root", [])
        assert (gpu["healthy"], gpu["why"]) == (True, "GPU 0 is used by root (pid 1, 6.1 GiB)")
        theirs.unlink()
        assert on.until(job, "completed").gpu_ids == (on.uuid(),)
        figures = on.client.call("stats")["gpus"][0]
        assert figures["idle"]["foreign"] > 0
        assert figures["held"] > 0
        ended = on.status(job)
        assert ended.waited is not None
        assert ended.waited["gpu-foreign"] > 0
        assert ended.gpu_seconds == ended.run_time


def test_processes_that_the_settings_ignore_are_in_nobodys_way(home: Home) -> None:
    with lab(home, gpus=2, settings=f"ignore_below = {GIB}") as on:
        on.machine.process(on.uuid(0), GIB // 2, pid=1)
        on.machine.process(on.uuid(1), 2 * GIB, pid=1)
        assert on.until(on.submit(), "completed").gpu_ids == (on.uuid(0),)
        wait_until(lambda: on.gpu(1)["foreign"])
        assert [process["pid"] for process in on.gpu(0)["ignored"]] == [1]
        assert on.gpu(0)["foreign"] == []


def test_a_gpu_goes_to_the_next_job_when_its_memory_is_back(home: Home) -> None:
    with lab(home) as on:
        keeper = on.keeper()
        first, second = on.submit(4 * GIB, kept=keeper), on.submit()
        sentence = on.until_why(second, "gpu-memory", " GiB")  # it says how much when it has looked
        assert sentence == f"GPU 0 waits for the memory of job {first} to come back (4 GiB of it)"
        assert on.status(first).state == "completed"
        assert on.gpu()["waiting_for_memory"]
        looks = on.machine.calls("nvmlDeviceGetMemoryInfo_v2")
        wait_until(lambda: on.machine.calls("nvmlDeviceGetMemoryInfo_v2") > looks + 3)
        assert on.status(second).state == "queued"
        keeper.unlink()
        on.until(second, "completed")
        assert on.client.call("stats")["gpus"][0]["idle"]["memory"] > 0


def test_memory_that_never_comes_back_takes_one_gpu_out_and_no_other(home: Home) -> None:
    with lab(home, gpus=2, settings="release_timeout = 1") as on:
        keeper = on.keeper()
        stuck = on.submit(4 * GIB, kept=keeper)
        assert on.until(stuck, "completed").gpu_ids == (on.uuid(0),)
        wait_until(on.gpu_events)
        [event] = on.gpu_events()
        assert (event["id"], event["index"], event["healthy"], event["enabled"]) == (on.uuid(0), 0, False, True)
        assert event["why"].startswith(f"GPU 0 waits for the memory of job {stuck} to come back")
        assert not on.gpu(0)["healthy"]
        assert on.until(on.submit(), "completed").gpu_ids == (on.uuid(1),)
        keeper.unlink()
        wait_until(lambda: on.gpu(0)["healthy"])
        assert on.gpu_events()[-1]["healthy"]
        assert on.until(on.submit(), "completed").gpu_ids == (on.uuid(0),)


def test_a_gpu_that_is_lost_is_passed_by_until_it_is_back(home: Home) -> None:
    with lab(home, gpus=2) as on:
        on.machine.gpu(0, error="GPU_IS_LOST")
        wait_until(lambda: not on.gpu(0)["healthy"])
        assert on.until(on.submit(), "completed").gpu_ids == (on.uuid(1),)
        both = on.submit(gpus=2)
        on.until_why(both, "gpu-count", "GPU 0")
        on.machine.gpu(0, error=None)
        assert on.until(both, "completed").gpu_ids == (on.uuid(0), on.uuid(1))
        assert [event["healthy"] for event in on.gpu_events()] == [False, True]


def test_a_driver_that_fails_later_stops_nothing_that_runs(home: Home) -> None:
    with lab(home) as on:
        gate = on.gate()
        running = on.submit(until=gate)
        on.until_on_gpu(running)
        on.machine.change(errors={"nvmlDeviceGetCount_v2": "DRIVER_NOT_LOADED"})
        on.machine.change(init_error="DRIVER_NOT_LOADED")
        on.machine.gpu(0, error="UNKNOWN")
        waits = on.submit()
        wait_until(lambda: not on.gpu()["healthy"])
        on.until_why(waits, "gpu-count")
        gate.touch()
        on.until(running, "completed")
        beside = on.client.submit([{"command": ["true"], "cwd": "/", "gpus": 0}])[0]["id"]
        on.until(beside, "completed")
        assert on.status(waits).state == "queued"


def test_a_job_without_a_gpu_runs_beside_and_sees_none(home: Home) -> None:
    with lab(home) as on:
        gate = on.gate()
        on.until_on_gpu(on.submit(until=gate))
        spec = {"command": ["sh", "-c", 'echo "[$CUDA_VISIBLE_DEVICES]"'], "cwd": "/", "gpus": 0}
        beside = on.client.submit([spec])[0]["id"]
        assert on.until(beside, "completed").gpu_ids == ()
        assert on.client.log(beside)["data"] == b"[]\n"


def test_a_driver_that_stops_answering_is_named_and_what_runs_runs_on(home: Home) -> None:
    with lab(home) as on:
        gate = on.gate()
        running = on.submit(until=gate)
        on.until_on_gpu(running)
        on.machine.change(block=["*"])
        waits = on.submit()
        on.until_why(waits, "gpu-count", "the NVIDIA driver does not answer", "nvidia-smi")
        assert not on.gpu()["healthy"]
        gate.touch()
        on.until(running, "completed")
        on.machine.change(block=[])
        on.until(waits, "completed")
        assert on.gpu()["healthy"]


def test_a_driver_that_does_not_answer_lets_the_daemon_serve(home: Home) -> None:
    with lab(home, started=False) as on:
        on.machine.change(block=["*"])
        on.daemon.start()
        job = on.submit()
        on.until_why(job, "gpu-count", "the NVIDIA driver does not answer")
        beside = on.client.submit([{"command": ["true"], "cwd": "/", "gpus": 0}])[0]["id"]
        on.until(beside, "completed")
        assert "does not answer" in on.client.call("gpus")["trouble"]
        on.machine.change(block=[])
        on.until(job, "completed", 20)
        assert on.client.call("gpus")["trouble"] is None


def test_a_driver_that_is_slow_at_the_start_is_no_alarm(home: Home) -> None:
    with lab(home, silence=3600) as on:
        gate = on.gate()
        running = on.submit(until=gate)
        on.until_on_gpu(running)
        waits = on.submit()
        on.daemon.kill()
        on.machine.change(block=["*"])
        on.daemon.start()
        on.until_why(waits, "gpu-count", "which GPUs this machine has is being found out")
        told = on.client.call("gpus")
        assert (told["trouble"], [gpu["healthy"] for gpu in told["gpus"]]) == (None, [True])
        assert on.status(running).state == "running"
        on.machine.change(block=[])
        gate.touch()
        on.until(waits, "completed")
        assert on.gpu_events() == []


def test_a_driver_that_is_broken_at_the_start_is_tried_again(home: Home) -> None:
    with lab(home, started=False) as on:
        on.machine.change(init_error="DRIVER_NOT_LOADED")
        on.daemon.start()
        job = on.submit()
        on.until_why(job, "gpu-count", on.client.call("gpus")["trouble"])
        assert on.client.call("gpus")["gpus"] == []
        on.machine.change(init_error=None)
        on.until(job, "completed", 20)


def test_a_left_out_gpu_that_is_not_there_is_said_as_soon_as_that_is_known(home: Home) -> None:
    said = "[gpus] left_out names 99, and there is no such GPU"
    with lab(home, started=False, settings='left_out = ["0", "99"]') as on:
        on.machine.change(block=["*"])
        on.daemon.start()
        log = home.log
        assert said not in log.read_text(encoding="utf-8")
        on.machine.change(block=[])
        wait_until(lambda: said in log.read_text(encoding="utf-8"), 20)
        assert not on.gpu()["enabled"]
        on.daemon.stop()
        on.daemon.start()
        wait_until(lambda: log.read_text(encoding="utf-8").count(said) == 2)
        assert "left_out names 0" not in log.read_text(encoding="utf-8")
