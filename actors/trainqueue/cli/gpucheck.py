"""What `doctor` finds of GPUs and their driver: by an own look, and from the daemon where one runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from trainqueue import guard
from trainqueue.cli.finding import Finding
from trainqueue.errors import SettingsError, TrainqError
from trainqueue.settings import GpuSettings, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.cli.glance import Glance
    from trainqueue.home import Home

PATIENCE, WAKING = 3.0, 10.0
"""Seconds for the daemon to answer, and for the driver, which takes a few to wake a GPU without persistence mode."""
SILENT = "the NVIDIA driver does not answer: nothing came within {:.0f} s"
NO_DRIVER = "no NVIDIA driver: the queue serves one slot, cpu:0"
OFF = 'the settings say backend = "none": the queue serves one slot, cpu:0'
AGAIN = "trainq-cli daemon stop, then trainq-cli daemon start; running jobs run on"


def checks(home: Home) -> Iterator[Finding]:
    """The first one is always there and named `gpu`; the others where there is something to say."""
    if os.environ.get("TRAINQ_FAKE_GPUS"):
        pretended = os.environ["TRAINQ_FAKE_GPUS"]
        what = f"TRAINQ_FAKE_GPUS is set: a daemon started here pretends to have {pretended}"
        yield Finding("gpu", "ok", what)
        return
    settings = gpu_settings()
    seen = None if settings.backend == "none" else own_look(home, settings)
    told = from_the_daemon(home)
    if settings.backend == "none":
        yield Finding("gpu", "ok", OFF)
    else:
        yield driver(seen, told)
        yield from hints(seen)
    yield from each(seen, told)
    yield from differing(seen, told)


def gpu_settings() -> GpuSettings:
    """The defaults where they cannot be read; another check says so."""
    try:
        return load().gpus
    except SettingsError:
        return GpuSettings()


def own_look(home: Home, settings: GpuSettings) -> Glance | None:
    from trainqueue.cli.glance import glance

    return glance(home, settings, WAKING)


def from_the_daemon(home: Home) -> dict[str, Any]:
    """The answer to `gpus`; empty where none runs or it is silent."""
    from trainqueue.client import Client

    if not guard.is_held(home.lock):
        return {}
    try:
        with Client(home, timeout=PATIENCE) as client:
            return client.call("gpus")
    except TrainqError:
        return {}


def driver(seen: Glance | None, told: dict[str, Any]) -> Finding:
    if seen is None:
        then = "see dmesg for what the driver says; jobs that need GPUs wait; if it stays so, reboot"
        return Finding("gpu", "problem", SILENT.format(WAKING), then)
    if not seen.installed:
        return Finding("gpu", "ok", NO_DRIVER)
    trouble = seen.sighting.trouble or told.get("trouble")
    if trouble:
        return Finding("gpu", "problem", *parted(trouble))
    names = ", ".join(f"{reading.index}: {reading.name}" for reading in seen.sighting.readings)
    return Finding("gpu", "ok", f"NVIDIA driver {seen.driver or 'of an unknown version'}; GPU {names}")


def parted(sentence: str) -> tuple[str, str]:
    """What is wrong, and what to do about it."""
    what, _, advice = sentence.partition(": trainq-cli ")
    if advice:
        return what, f"trainq-cli {advice}"
    what, _, advice = sentence.partition("; ")
    return what, advice


def hints(seen: Glance | None) -> Iterator[Finding]:
    """About the driver; each stands for itself."""
    if seen is None:
        return
    for note in seen.notes:
        yield Finding("driver", "warning", *parted(note))
    if seen.asleep:
        named = ", ".join(map(str, seen.asleep))
        what = f"persistence mode is off (GPU {named}): while nobody uses a GPU the driver puts it down"
        yield Finding("driver", "ok", what, "sudo nvidia-smi -pm 1, or nvidia-persistenced: first starts are quicker")


def each(seen: Glance | None, told: dict[str, Any]) -> Iterator[Finding]:
    """Each GPU that nothing can start on, as the daemon says; without one, as we see it."""
    for gpu in told.get("gpus", []):
        name = f"gpu {gpu['index']}"
        if not gpu["healthy"] and gpu["why"] != told.get("trouble"):
            what, advice = parted(gpu["why"] or "unhealthy")
            yield Finding(name, "problem", what, advice or f"when it is well again: {enabling(gpu['index'])}")
        elif not gpu.get("enabled", True):
            yield Finding(name, "warning", "disabled: no job starts on it", enabling(gpu["index"]))
    if not told and seen is not None:
        for reading in seen.sighting.readings:
            if reading.trouble is not None:
                yield Finding(f"gpu {reading.index}", "problem", *parted(reading.trouble))


def enabling(index: int) -> str:
    return f"trainq-cli gpus --enable {index}"


def differing(seen: Glance | None, told: dict[str, Any]) -> Iterator[Finding]:
    """A daemon that was started in another world serves other GPUs than there are."""
    served = [str(gpu["id"]) for gpu in told.get("gpus", [])]
    here = [] if seen is None else [reading.index for reading in seen.sighting.readings if reading.measured]
    if served == ["cpu:0"] and here:
        what = f"the daemon serves cpu:0, and here are {len(here)} GPUs: it was started without them"
        yield Finding("driver", "warning", what, AGAIN)
    elif any(gpu.startswith("GPU-fake-") for gpu in served):
        what = f"the daemon was started with TRAINQ_FAKE_GPUS: it pretends to have {len(served)} GPUs"
        yield Finding("driver", "ok", what)
