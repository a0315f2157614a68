"""What `doctor` finds of GPUs and their driver: by an own look, and from the daemon where one runs."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, Any

from trainqueue import guard
from trainqueue.cli.finding import Finding
from trainqueue.cli.gpus import used
from trainqueue.core.words import number
from trainqueue.damage import glance as glance_at
from trainqueue.errors import SettingsError, TrainqError
from trainqueue.gpus import HAD_GPUS
from trainqueue.settings import GpuSettings, load
from trainqueue.wal import MAGIC

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from trainqueue.cli.glance import Glance
    from trainqueue.home import Home

PATIENCE, WAKING = 3.0, 10.0
"""Seconds for the daemon to answer, and for the driver, which takes a few to wake a GPU without persistence mode."""
SILENT = "the NVIDIA driver does not answer: nothing came within {:.0f} s"
NO_DRIVER = "no NVIDIA driver: the queue serves one slot, cpu:0"
GONE = "there is no NVIDIA driver, and this home has had GPUs: a daemon waits for them, and so do its jobs"
OFF = 'the settings say backend = "none": the queue serves one slot, cpu:0'
UNWELL = (
    "see dmesg, and whether nvidia-smi shows it; restart the machine if it stays so; it is used again when it is well"
)
AGAIN = "trainq-cli daemon stop, then trainq-cli daemon start; running jobs run on"


def checks(home: Home) -> Iterator[Finding]:
    """The first one is always there and named `gpu`: what the daemon serves, and without one, what it would."""
    settings, pretended = gpu_settings(), os.environ.get("TRAINQ_FAKE_GPUS")
    told, asked = from_the_daemon(home), not pretended and settings.backend != "none"
    seen = own_look(home, settings) if asked else None
    if told:
        yield served(
            told, NO_DRIVER if seen is not None and not seen.installed else "the daemon serves one slot, cpu:0"
        )
        yield from each(told)
    if not asked:
        yield from chosen(pretended, told)
        yield from left_out(settings, names(told["gpus"]) if told else set())
        return
    yield from compared(seen, told) if told else alone(seen, had_gpus=has_had_gpus(home))
    yield from left_out(settings, names(told["gpus"]) if told else seen_names(seen))
    yield from hints(seen, told)


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


# -- what the daemon says


def served(told: dict[str, Any], without: str) -> Finding:
    """`without`: what is said of a daemon that serves no GPU."""
    gpus = told["gpus"]
    if told.get("trouble"):
        return Finding("gpu", "problem", *parted(told["trouble"]))
    if not gpus:
        return Finding("gpu", "ok", "the daemon has not found out yet which GPUs there are")
    if pretends(told):
        what = f"the daemon was started with TRAINQ_FAKE_GPUS: it pretends to have {count(gpus)}"
        return Finding("gpu", "ok", what)
    if serves_cpu(told):
        return Finding("gpu", "ok", without)
    return Finding("gpu", "ok", "the daemon serves GPU " + ", ".join(f"{called(gpu)}: {gpu['name']}" for gpu in gpus))


def pretends(told: dict[str, Any]) -> bool:
    return any(str(gpu["id"]).startswith("GPU-fake-") for gpu in told["gpus"])


def serves_cpu(told: dict[str, Any]) -> bool:
    return [gpu["id"] for gpu in told["gpus"]] == ["cpu:0"]


def called(gpu: dict[str, Any]) -> str:
    """What it is called by on the command line: one that nobody has seen yet has no index."""
    return str(gpu["id"] if gpu["index"] is None else gpu["index"])


def each(told: dict[str, Any]) -> Iterator[Finding]:
    """Each GPU that nothing can start on, other than for a while."""
    for gpu in told["gpus"]:
        name, again = f"gpu {called(gpu)}", f"trainq-cli gpus --enable {called(gpu)}"
        if not gpu["healthy"] and gpu["why"] != told.get("trouble"):
            yield Finding(name, "problem", *unwell(gpu))
        elif not gpu.get("enabled", True):
            yield Finding(name, "warning", "disabled: no job starts on it", again)
        elif gpu.get("use") == "memory" and ": trainq-cli" in str(gpu["why"]):
            yield Finding(name, "warning", *parted(gpu["why"]))
        elif gpu["foreign"]:
            then = "jobs wait until that is over; what is in nobody's way may stand in the settings: ignore_commands"
            yield Finding(name, "ok", used(gpu["foreign"]) or "", then)
        elif gpu.get("use") == "foreign":
            yield Finding(name, "warning", gpu["why"] or "it is not known who is on it: no job starts on it")


def unwell(gpu: dict[str, Any]) -> tuple[str, str]:
    """What is wrong with it, and what to do about it."""
    what, advice = parted(gpu["why"] or "unhealthy")
    if gpu.get("waiting_for_memory") and advice:
        advice = f"look with nvidia-smi for who holds it; {advice}"
    return what, advice or UNWELL


# -- what is seen from here


def chosen(pretended: str | None, told: dict[str, Any]) -> Iterator[Finding]:
    """Where somebody wishes that no driver be asked."""
    as_wished = not told or (pretends(told) if pretended else serves_cpu(told))
    what = f"TRAINQ_FAKE_GPUS is set: a daemon started here pretends to have {pretended}" if pretended else OFF
    if not told:
        yield Finding("gpu", "ok", what)
    elif not as_wished:
        yield Finding("driver", "warning", f"{what}; the daemon was started without that", AGAIN)


def has_had_gpus(home: Home) -> bool:
    """Whether a daemon of this home waits for GPUs that are not there; no where the database does not say.

    SQLite must not even look at a file that is none of its own: it would remove the WAL that may save it.
    """
    with contextlib.suppress(sqlite3.Error, OSError):
        with home.database.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return False
        with contextlib.closing(glance_at(home.database)) as db:
            return db.execute("SELECT 1 FROM settings WHERE name = ?", (HAD_GPUS,)).fetchone() is not None
    return False


def alone(seen: Glance | None, *, had_gpus: bool) -> Iterator[Finding]:
    """Without a daemon it is what one would have."""
    if seen is None:
        then = "see dmesg for what the driver says; jobs that need GPUs wait; if it stays so, reboot"
        yield Finding("gpu", "problem", SILENT.format(WAKING), then)
    elif not seen.installed and had_gpus:
        yield Finding(
            "gpu", "problem", GONE, 'install the driver again; without GPUs set backend = "none" under [gpus]'
        )
    elif not seen.installed:
        yield Finding("gpu", "ok", NO_DRIVER)
    elif seen.sighting.trouble:
        yield Finding("gpu", "problem", *parted(seen.sighting.trouble))
    else:
        there = ", ".join(f"{reading.index}: {reading.name}" for reading in seen.sighting.readings)
        yield Finding("gpu", "ok", f"{version(seen)}; GPU {there}")
        for reading in seen.sighting.readings:
            if reading.trouble is not None:
                yield Finding(f"gpu {reading.index}", "problem", *parted(reading.trouble))


def version(seen: Glance) -> str:
    return f"NVIDIA driver {seen.driver or 'of an unknown version'}"


def compared(seen: Glance | None, told: dict[str, Any]) -> Iterator[Finding]:
    """A daemon that was started in another world serves other GPUs than can be seen from here."""
    none = pretends(told) or serves_cpu(told)
    theirs = set[str]() if none else {str(gpu["id"]) for gpu in told["gpus"] if gpu["healthy"]}
    if seen is None:
        yield Finding("driver", "warning", SILENT.format(WAKING), "see dmesg for what the driver says")
    elif not seen.installed:
        if theirs and not told.get("trouble"):
            what = f"from here no NVIDIA driver can be seen, and the daemon serves {count(theirs)}: it runs elsewhere"
            yield Finding("driver", "warning", what, "a daemon that is started here would serve cpu:0")
    elif seen.sighting.trouble:
        if not told.get("trouble"):
            what, then = parted(seen.sighting.trouble)
            yield Finding("driver", "warning", f"seen from here: {what}", then)
    else:
        ours = {reading.id for reading in seen.sighting.readings if reading.measured}
        lost = {str(gpu["id"]) for gpu in told["gpus"] if not gpu["healthy"]} - ours  # and said of each
        if ours == theirs - lost or pretends(told) or told.get("trouble"):
            yield Finding("driver", "ok", version(seen))
        elif serves_cpu(told):
            what = f"the daemon serves cpu:0, and here are {count(ours)}: it was started without them"
            yield Finding("driver", "warning", what, AGAIN)
        elif told["gpus"]:
            what = f"here are {count(ours)}, and the daemon serves {count(theirs)}, {len(ours & theirs)} of these"
            yield Finding("driver", "warning", what, AGAIN)


def names(gpus: Collection[dict[str, Any]]) -> set[str]:
    return {str(name) for gpu in gpus for name in (gpu["id"], gpu["index"])}


def seen_names(seen: Glance | None) -> set[str]:
    """None where the driver is in trouble."""
    readings = () if seen is None else seen.sighting.readings
    return {str(name) for reading in readings for name in (reading.id, reading.index)}


def left_out(settings: GpuSettings, known: set[str]) -> Iterator[Finding]:
    """A GPU that its owner wanted out, and which is used since its name is wrong."""
    for name in settings.left_out if known else ():
        if name not in known:
            what = f"the settings leave out GPU {name}, and there is no such GPU"
            yield Finding("left_out", "warning", what, "trainq-cli gpus --json shows indices and ids")


def count(gpus: Collection[object]) -> str:
    return number(len(gpus), "GPU")


def parted(sentence: str) -> tuple[str, str]:
    """What is wrong, and what to do about it."""
    what, _, advice = sentence.partition(": trainq-cli ")
    if advice:
        return what, f"trainq-cli {advice}"
    what, _, advice = sentence.partition("; ")
    return what, advice


def hints(seen: Glance | None, told: dict[str, Any]) -> Iterator[Finding]:
    """About the driver; each stands for itself. What ails a GPU the daemon has said already."""
    if seen is None:
        return
    said = tuple(f"GPU {called(gpu)} " for gpu in told.get("gpus", ()) if not gpu["healthy"])
    for note in seen.notes:
        if not note.startswith(said):
            yield Finding("driver", "warning", *parted(note))
    if seen.asleep:
        named = ", ".join(map(str, seen.asleep))
        what = f"persistence mode is off (GPU {named}): while nobody uses a GPU the driver puts it down"
        yield Finding("driver", "ok", what, "sudo nvidia-smi -pm 1, or nvidia-persistenced: first starts are quicker")
