"""`--watch` on a real terminal, read by an emulator; the differ and the picture by themselves."""

from __future__ import annotations

import json
import signal
import subprocess
import termios
from typing import TYPE_CHECKING, Any

import pytest
from emulator import Screen, Window
from hypothesis import given, settings
from hypothesis import strategies as st

from trainqueue.cli import scene
from trainqueue.cli.painter import Frame, Line
from trainqueue.cli.screen import cells

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Cli
    from support import Daemon

    from trainqueue.client import Client

NAMES = st.text(st.sampled_from("abc de█░…漢é\N{COMBINING ACUTE ACCENT}"), max_size=14)
FRAMES = st.lists(st.lists(st.builds(Line, NAMES, st.sampled_from(["", "1"])), max_size=6), min_size=2, max_size=6)
REPORTS = "import os,time; f = os.environ['TRAINQ_PROGRESS']; open(f + '.x', 'w').write('{\"step\": 3, \"total\": 4}')"
REPORTS_AND_STAYS = REPORTS + "; os.rename(f + '.x', f); time.sleep(60)"

PROGRESS: dict[str, Any] = {"fraction": 0.5, "step": 2, "total": 4, "rate": 0.4, "eta": None, "message": None}
TOLD = PROGRESS | {"updated_at": 0.0, "metrics": {"accuracy": 0.5, "loss": 0.25}}


@settings(max_examples=60)
@given(FRAMES)
def test_the_differ_ends_with_what_a_fresh_screen_would_show(frames: list[list[Line]]) -> None:
    screen, frame = Screen(10, 4), Frame()
    screen.feed("\x1b[?7l")
    for lines in frames:
        screen.feed(frame.changes(lines, (10, 4)))
        fresh = Screen(10, 4)
        fresh.feed("\x1b[?7l" + Frame().changes(lines, (10, 4)))
        assert screen.text() == fresh.text()
        assert frame.changes(lines, (10, 4)) == ""


def test_a_change_sends_no_more_than_what_has_changed() -> None:
    frame = Frame()
    frame.changes([Line("1  train  ██░░  40%  0:01"), Line("and more")], (80, 24))
    changed = frame.changes([Line("1  train  ██░░  41%  0:02"), Line("and more")], (80, 24))
    assert changed == "\x1b[?2026h\x1b[1;18H1%  0:02\x1b[?2026l"


@pytest.fixture
def found(client: Client) -> dict[str, Any]:
    """What the daemon tells of a queue with something of everything in it."""
    client.call("pause")
    names = ["short", "a name that is far longer than any terminal would like " * 3, "漢字の名前", "evil\x1b[2J\u202e"]
    client.submit([{"command": ["sleep", "60"], "cwd": "/", "name": name} for name in names])
    return client.queue(100)


def test_the_picture_fits_every_terminal(found: dict[str, Any]) -> None:
    waiting = found["queued"] * 10
    busy = [{**job, "state": "running", "run_time": 7.0, "progress": TOLD} for job in found["queued"]]
    ended = [{**job, "state": "failed", "cause": "exit", "exit_code": 3, "ended_at": 1.0} for job in found["queued"]]
    told = found | {"running": busy, "queued": waiting, "counts": {"queued": 1000, "running": 4}}
    for width in (20, 40, 80, 200):
        for height in (4, 10, 24, 50):
            lines = scene.lines(told, ended, 0.0, (width, height), "")
            assert len(lines) <= height, (width, height)
            assert max(cells(line.text) for line in lines) <= width
            assert not any("\x1b" in line.text or "\u202e" in line.text for line in lines)
    text = "\n".join(line.text for line in scene.lines(told, ended, 0.0, (80, 24), ""))
    assert "4 running, 1,000 waiting" in text
    assert "PAUSED" in text
    assert "failed (exit code 3)" in text
    shown = sum(line.startswith(("1  ", "2  ", "3  ", "4  ")) for line in text.partition("WAITING")[2].splitlines())
    assert "more" in text
    assert shown > 4
    assert "██████░░░░░░  50%" in text
    assert "loss 0.25" in text
    assert "2.5 s/step" in "\n".join(line.text for line in scene.lines(told, ended, 0.0, (200, 24), ""))


@pytest.mark.parametrize(("waiting", "heads"), [(2, ["WAITING", "ENDED"]), (20, ["WAITING"])])
def test_on_a_small_screen_what_waits_goes_before_what_has_ended(
    found: dict[str, Any], waiting: int, heads: list[str]
) -> None:
    job = found["queued"][0]
    told = found | {"queued": [job] * waiting, "counts": {"queued": waiting}}
    drawn = scene.lines(told, [{**job, "state": "completed", "ended_at": 1.0}] * 5, 0.0, (40, 10), "")
    words = " ".join(line.text for line in drawn).split()
    assert [*dict.fromkeys(word for word in words if word in {"WAITING", "ENDED"})] == heads


def test_on_a_narrow_screen_the_time_left_goes_before_the_rest(found: dict[str, Any]) -> None:
    told = {**TOLD, "updated_at": None, "eta": 720.0}
    job = {**found["queued"][0], "state": "running", "run_time": 7.0, "progress": told, "expected_end_at": None}
    narrow, wide = scene.status_line(job, 0.0, 33), scene.status_line(job, 0.0, 200)
    assert "about 12 min left" in narrow
    assert "50%" in narrow
    assert "2.5 s/step" in wide


def test_the_queue_is_live(cli: Cli, client: Client, daemon: Daemon) -> None:
    first = client.submit(
        [{"command": ["python3", "-c", REPORTS_AND_STAYS], "cwd": "/", "name": "first", "env": cli.env}]
    )
    with Window([*cli.prefix, "queue", "--watch"], cli.env) as window:
        window.sees("1 running", "first", "75%", "3/4")
        window.resize(40, 10)
        window.sees("first", "75%")
        client.submit([{"command": ["true"], "cwd": "/", "name": f"n{at}"} for at in range(50)])
        window.sees("50 waiting", "more")
        window.resize(80, 24)
        window.sees("50 waiting", "n0")
        client.pause()
        window.sees("PAUSED")
        client.cancel([*range(2, 52), first[0]["id"]])
        window.sees("0 running, 0 waiting", "ENDED", "cancelled")
        assert window.silence(1.2)
        daemon.kill()
        window.sees("The daemon is gone", "trainq-cli daemon start")
        daemon.start()
        window.until(lambda text: "daemon" not in text and "PAUSED" in text)
        assert window.screen.alternate
        assert not window.screen.cursor_shown
        window.type("q")
        window.rest()
        assert window.process.returncode == 0
        assert back(window)


def back(window: Window) -> bool:
    """Whether the terminal is as it was."""
    screen, echo = window.screen, termios.ECHO | termios.ICANON
    return screen.cursor_shown and screen.wraps and not screen.alternate and window.modes() & echo == echo


def test_whatever_ends_it_the_terminal_is_put_right(cli: Cli) -> None:
    story = f'{" ".join(cli.prefix)} queue -w; echo "stopped $?"; read x; fg >/dev/null; echo "left $?"'
    with Window(["bash", "-mc", story], cli.env) as window:
        window.sees("Nothing waits")
        window.type("\x1a")
        window.sees("stopped 148")
        assert back(window)
        window.type("\n")
        window.sees("Nothing waits")
        assert window.screen.alternate
        window.type("\x03")
        window.sees("left 130")
        assert back(window)
    with Window([*cli.prefix, "status", "--watch"], cli.env) as window:
        window.sees("Nothing waits")
        window.process.send_signal(signal.SIGTERM)
        window.rest()
        assert window.process.returncode == -signal.SIGTERM
        assert back(window)


def test_one_job_and_the_gpus_are_live(cli: Cli, client: Client) -> None:
    client.pause()
    client.submit([{"command": ["python3", "-c", REPORTS_AND_STAYS], "cwd": "/", "name": "first", "env": cli.env}])
    with Window([*cli.prefix, "status", "1", "--watch"], cli.env) as window:
        window.sees("job 1 first: queued (position: 1), the queue is paused")
        client.resume()
        window.sees("job 1 first: running", "75%", "3/4")
        window.type("q")
        window.rest()
    with Window([*cli.prefix, "gpus", "-w"], cli.env) as window:
        window.sees("job 1")
        client.cancel([1])
        window.sees("free")


def test_json_is_one_document_a_change(cli: Cli, client: Client, tmp_path: Path) -> None:
    del tmp_path
    client.pause()
    command = [*cli.prefix, "queue", "--watch", "--json", "--interval", "0.1"]
    with subprocess.Popen(command, env=cli.env, stdout=subprocess.PIPE) as watcher:
        assert watcher.stdout is not None
        assert json.loads(watcher.stdout.readline())["queued"] == []
        client.submit([{"command": ["true"], "cwd": "/"}])
        assert [job["id"] for job in json.loads(watcher.stdout.readline())["queued"]] == [1]
        client.hold([1])
        assert json.loads(watcher.stdout.readline())["queued"][0]["why_code"] == "held"
        watcher.terminate()


def test_where_it_cannot_be_it_says_so(cli: Cli) -> None:
    done = cli("queue", "--watch")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--json" in done.stderr
    assert cli("queue", "--watch", "--tree").returncode == 2
    assert cli("status", "--watch", "--json", "7").returncode == 4
    assert cli("gpus", "--watch", "--disable", "0").returncode == 2
