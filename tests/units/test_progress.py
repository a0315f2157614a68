"""Whatever a script leaves in progress.json: reading never raises, never blocks, and what it gives fits the wire."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from support import Daemon, unpacked

from trainqueue import wire
from trainqueue.cli.screen import clock
from trainqueue.client import Client
from trainqueue.core.expect import told_end
from trainqueue.progress import MAX_METRICS, MAX_TEXT, ProgressFile

if TYPE_CHECKING:
    from pathlib import Path

    from trainqueue.home import Home

HUGE = "1" * 401
READABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "an int beyond 64 bits": ('{"step": 20000000000000000000}', {"step": 2e19}),
    "a small one beyond 64 bits": ('{"step": -20000000000000000000}', {"step": -2e19}),
    "the largest that fits": (f'{{"step": {2**63 - 1}}}', {"step": 2**63 - 1}),
    "half a character": ('{"message": "a\\udcffb"}', {"message": "a?b"}),
    "half a character in a key": ('{"l\\ud800": 1.5}', {"metrics": {"l?": 1.5}}),
    "401 digits": (f'{{"step": {HUGE}, "total": 3, "loss": {HUGE}}}', {"step": None, "total": 3, "metrics": {}}),
    "not a number": (
        '{"step": NaN, "total": Infinity, "fraction": -Infinity, "loss": NaN, "acc": 1}',
        {"step": None, "total": None, "fraction": None, "metrics": {"acc": 1}},
    ),
    "no total": ('{"step": 1, "total": 0}', {"fraction": None}),
    "more than all": ('{"step": 5, "total": 2}', {"fraction": 1.0}),
    "a quotient too large": ('{"step": 1e308, "total": 1e-308}', {"fraction": 1.0}),
    "less than nothing": ('{"fraction": -3}', {"fraction": 0.0}),
    "nothing said": ('{"step": null, "message": null, "ok": true, "loss": "3"}', {"step": None, "metrics": {}}),
    "a long message": (json.dumps({"message": "x" * 5000}), {"message": "x" * MAX_TEXT}),
}
UNREADABLE = {
    "a word for a step": b'{"step": "4"}',
    "a list for a total": b'{"step": 4, "total": []}',
    "a truth for a fraction": b'{"fraction": true}',
    "a number for a message": b'{"step": 4, "message": 7}',
    "nothing": b"",
    "half of it": b'{"step": 1',
    "no object": b"[1, 2]",
    "no text": b"\xff\xfe\x00",
    "2 MB": b'{"step": 1, "message": "' + b"x" * 2_000_000 + b'"}',
    "deep lists": b'{"step": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep maps": b'{"a": ' * 100_000 + b"1" + b"}" * 100_000,
    "more digits than Python reads": b'{"step": ' + b"1" * 5000 + b"}",
}


def read(path: Path) -> dict[str, Any] | None:
    """As a trainer reads it, timed and packed; and again as if it had changed."""
    file = ProgressFile(path)
    began = time.monotonic()
    found = file.read()
    assert time.monotonic() - began < 2
    file.close()
    if found is not None:
        sent = unpacked(wire.pack(found))
        assert sent.pop("updated_at") == pytest.approx(time.time(), abs=60)
        assert sent == {name: value for name, value in found.items() if name != "updated_at"}
        json.dumps(found, allow_nan=False).encode()  # the journal's row holds it, too
    return found


@pytest.mark.parametrize("case", READABLE)
def test_odd_values_are_told_as_the_wire_can_carry_them(tmp_path: Path, case: str) -> None:
    written, expected = READABLE[case]
    (tmp_path / "progress.json").write_text(written, encoding="utf-8")
    found = read(tmp_path / "progress.json")
    assert found is not None
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_used_is_ignored(tmp_path: Path, case: str) -> None:
    (tmp_path / "progress.json").write_bytes(UNREADABLE[case])
    assert read(tmp_path / "progress.json") is None


def test_a_thousand_metrics_are_cut(tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text(json.dumps({f"m{at}": at for at in range(1000)}), encoding="utf-8")
    found = read(tmp_path / "progress.json")
    assert found is not None
    assert len(found["metrics"]) == MAX_METRICS


def test_a_pipe_in_its_place_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    os.mkfifo(path)
    assert read(path) is None
    writer = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    os.write(writer, b'{"step": 1}')
    assert read(path) is None
    os.close(writer)


def test_other_things_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    assert read(path) is None
    path.symlink_to("/dev/zero")
    assert read(path) is None
    path.unlink()
    path.symlink_to(path)
    assert read(path) is None


def test_a_folder_in_its_place_costs_no_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    path.mkdir()
    before = open_now()
    assert read(path) is None
    lost = open_now() - before
    for fd in lost:
        os.close(fd)
    assert not lost


def open_now() -> set[int]:
    found = {int(fd) for fd in os.listdir("/proc/self/fd")}  # noqa: PTH208
    return {fd for fd in found if os.path.lexists(f"/proc/self/fd/{fd}")}  # without that of the listing


def test_the_same_file_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    path.write_text('{"step": 1}', encoding="utf-8")
    file = ProgressFile(path)
    assert file.read() is not None
    assert file.read() is None
    path.with_name("new").write_text('{"step": 2}', encoding="utf-8")
    path.with_name("new").rename(path)
    found = file.read()
    assert found is not None
    assert found["step"] == 2


ODD = [
    '{"step": 20000000000000000000}',
    '{"message": "\\udcff"}',
    '{"\\udcff": 1}',
    f'{{"loss": {HUGE}}}',
    '{"loss": NaN, "step": Infinity}',
    json.dumps({f"m{at}": at for at in range(1000)}),
    '{"a":' + "[" * 50_000 + "]" * 50_000 + "}",
]
WRITES = """
import os, pathlib, sys, time
path = pathlib.Path(os.environ["TRAINQ_PROGRESS"])
for text in pathlib.Path(sys.argv[1]).read_text().split("\\n"):
    path.with_name("new").write_text(text)
    path.with_name("new").rename(path)
    time.sleep(0.05)
{last}
"""
LAST = {
    "pipe": "path.unlink(); os.mkfifo(path)",
    "big": "path.write_bytes(b' ' * 2_000_000)",
    "huge": "path.write_text('{\"step\": 20000000000000000000, \"loss\": ' + '1' * 401 + '}')",
}


def test_a_daemon_survives_all_of_it_and_its_restart(home: Home, tmp_path: Path) -> None:
    daemon = Daemon(home)
    daemon.start()
    (tmp_path / "odd").write_text("\n".join(ODD), encoding="utf-8")
    with Client(home) as client:
        jobs = [
            client.submit(
                [{"command": ["python3", "-c", WRITES.format(last=last), str(tmp_path / "odd")], "cwd": "/", "gpus": 0}]
            )[0]["id"]
            for last in LAST.values()
        ]
        ended = client.wait(jobs, 20)
        assert [job.state for job in ended] == ["completed"] * len(LAST)
        assert ended[-1].progress is not None
        assert (ended[-1].progress["step"], ended[-1].progress["metrics"]) == (2e19, {})
        assert client.queue()["running"] == []
    daemon.kill()
    daemon.start()
    with Client(home) as client:
        assert [job.state for job in client.jobs(jobs=jobs)[0]] == ["completed"] * len(LAST)
    assert daemon.stop() == 0


@pytest.mark.parametrize("at", [None, 9e19, -9e19, 1e308, float("inf"), float("nan")])
def test_no_time_is_too_far_for_a_clock(at: float | None) -> None:
    assert clock(at) == ""


def test_an_end_beyond_a_hundred_years_is_none() -> None:
    assert told_end({"eta": 9e19, "updated_at": 1.0}) is None
    assert told_end({"eta": float("inf"), "updated_at": 1.0}) is None
    assert told_end({"eta": 60.0, "updated_at": 1.0}) == (1.0, 61.0)
