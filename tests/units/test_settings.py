"""Settings, the report of a training script, and progress files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from trainqueue import report as report_module
from trainqueue.errors import SettingsError
from trainqueue.progress import ProgressFile, view
from trainqueue.settings import Settings, load, parse

SAMPLE = Path(__file__).resolve().parents[2] / "conf/trainq.toml"


def test_the_sample_is_exactly_the_defaults() -> None:
    assert load(str(SAMPLE)) == Settings()
    text = SAMPLE.read_text(encoding="utf-8")
    for part in (Settings().daemon, Settings().queue):
        assert all(f"{name} = " in text for name in part.__struct_fields__)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[queue]\ndefault_grce = 1", "default_grace"),
        ("[queue]\ndefault_grace = 'long'", "$.queue.default_grace"),
        ("[queue]\nmax_waiting = 0", "$.queue.max_waiting"),
        ("[queue]\nafter_reboot = 'stop'", "$.queue.after_reboot"),
        ("[qeue]", "queue"),
        ("[queue", "end of"),
    ],
)
def test_a_wrong_file_is_named_with_its_field(text: str, named: str) -> None:
    with pytest.raises(SettingsError, match=r"my\.toml") as caught:
        parse(text, "my.toml")
    assert named in str(caught.value)


@pytest.mark.parametrize("name", ["", "-1", " 0", "0,1", "GPU 0", "0x1"])
def test_what_can_name_no_gpu_is_not_left_out(name: str) -> None:
    with pytest.raises(SettingsError, match=r"gpus\.left_out"):
        parse(f'[gpus]\nleft_out = ["{name}"]', "my.toml")
    assert parse('[gpus]\nleft_out = ["3", "GPU-8d3f"]', "my.toml").gpus.left_out == ("3", "GPU-8d3f")


def test_a_missing_file_is_an_error_only_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("TRAINQ_CONFIG", raising=False)
    assert load() == Settings()
    with pytest.raises(SettingsError, match="no settings file"):
        load(str(tmp_path / "none.toml"))


def test_report_keeps_what_was_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINQ_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setattr(sys.modules["trainqueue.report"], "_last", {})
    report_module(step=1, total=10, loss=0.5)
    report_module(step=2)
    assert json.loads((tmp_path / "progress.json").read_bytes()) == {"step": 2, "total": 10, "loss": 0.5}


def test_report_outside_trainq_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINQ_PROGRESS", raising=False)
    report_module(step=1)


def test_report_never_ends_a_training_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINQ_PROGRESS", str(tmp_path / "gone" / "progress.json"))
    with pytest.warns(UserWarning, match="not reported"):
        report_module(step=1)


def test_wrong_progress_is_ignored_until_it_is_right(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    watched = ProgressFile(path)
    for wrong in (b"", b"{", b"[1]", b"null", b"[" * 100_000, b"\xff", b'"text"'):
        path.write_bytes(wrong)
        assert watched.read() is None
    path.write_bytes(b'{"step": 3, "total": 4, "loss": 0.25, "flag": true, "bad": NaN, "word": "x"}')
    found = watched.read()
    assert found is not None
    assert (found["fraction"], found["metrics"]) == (0.75, {"loss": 0.25})
    assert watched.read() is None
    watched.close()


def test_a_fraction_stays_between_0_and_1() -> None:
    for raw, fraction in (({"fraction": 7}, 1.0), ({"fraction": -1}, 0.0), ({"step": 1, "total": 0}, None)):
        found = view(raw, 0.0)
        assert found is not None
        assert found["fraction"] == fraction


def test_blind_inotify_leaves_no_descriptor(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    watched = ProgressFile(tmp_path / "missing" / "progress.json")
    watched.watch()
    assert watched.fd is None
    assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208
