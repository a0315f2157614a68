"""What `top` shows and asks, without Textual and without a daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from trainqueue.cli.screen import cells
from trainqueue.jobinfo import Job
from trainqueue.top import deeds, panels
from trainqueue.top.deeds import Refused
from trainqueue.top.detail import detail_lines
from trainqueue.top.drawn import clean, cut, ends, part, plain, rule
from trainqueue.top.logtext import LogText
from trainqueue.top.rows import Table, bar, fact
from trainqueue.top.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_000_000.0
NASTY = "[red]x[/red] \x1b[31m\x07 \u202eabc \u200b\ufe0f e\u0301 模型训练 👩\u200d💻 " + "z\u0300" * 50


def job(number: int, state: str = "queued", **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(Job(id=number, name=f"job-{number}", state=state))
    why = {"why": "position 1 in the line", "why_code": "position"} if state == "queued" else {}
    return found | why | fields


def gpu(number: int, **fields: Any) -> dict[str, Any]:
    plain = {"id": f"GPU-{number}", "index": number, "name": "NVIDIA H100", "memory_total": 2**36, "memory_used": 2**35}
    rest = {"utilization": 87, "temperature": 64, "power": 300, "jobs": [], "foreign": [], "healthy": True, "why": None}
    return {**plain, **rest, "enabled": True, "use": "free", **fields}


def world(*jobs: dict[str, Any], gpus: list[dict[str, Any]] | None = None, **modes: Any) -> World:
    found = World()
    running = [one for one in jobs if one["state"] in {"pending", "running"}]
    queued = [one for one in jobs if one["state"] == "queued"]
    ended = [one for one in jobs if one["state"] not in {"pending", "running", "queued"}]
    answer = {"epoch": "e", "gpus": gpus or [], "counts": {}, "running": running, "queued": [], **modes}
    line = {"jobs": [one["id"] for one in queued], "ready": sum(one["why_code"] == "position" for one in queued)}
    found.take(answer, line, queued, ended)
    return found


def shown(found: World, width: int = 120, **how: Any) -> list[str]:
    table = Table(found)
    table.shape(width, NOW, **how)
    lines = [plain(table.line(at, selected=at == 1)) for at in range(len(table))]
    assert all(cells(line) <= width for line in lines), lines
    return lines


def test_all_widths_hold_all_kinds_of_jobs_whatever_they_are_called() -> None:
    progress = {"fraction": 0.63, "step": 63, "total": 100, "rate": 1.25, "metrics": {"acc": 0.5, "val_loss": 0.43211}}
    found = world(
        job(3, "running", name=NASTY, started_at=NOW - 60, progress=progress, gpu_ids=["GPU-0"], attempt=2),
        job(4, "running", stopping=True, started_at=NOW - 60),
        job(5, "pending"),
        job(6, "queued", name="n" * 10_000, expected_start_at=NOW + 2400),
        job(7, "queued", why_code="held", why="held until it is released"),
        job(2, "failed", ended_at=NOW, run_time=5.0, cause="exit", exit_code=3),
        job(1, "completed", ended_at=NOW - 1, run_time=5.0),
        gpus=[gpu(0)],
    )
    for width in (1, 8, 20, 40, 60, 76, 84, 90, 100, 120, 200):
        said = "\n".join(shown(found, width))
        assert not {*said} & {"\x1b", "\x07", "\u202e", "\u200b", "\u0300", "\u200d"}
    wide = shown(found)
    assert "[red]x[/red]" in wide[1]
    assert "模型训练" in shown(found, 200)[1]
    for words in ("63 %", "███████▌░░░░", "1.25/s", "1:00", "val_loss 0.4321", "GPU 0", "▶   3"):
        assert words in wide[1], words
    assert "stopping" in wide[2]
    assert "starting" in wide[3]
    assert wide[4].startswith("Ended lately")
    assert "failed" in wide[5]
    assert "exit code 3" in wide[5]
    assert wide[7].startswith("Waiting 2, of these 1 may not start yet")
    assert "#1" in wide[8]
    assert "starts in about 40 min" in wide[8]
    assert "held until" in wide[9]
    assert "in about 40" in shown(found, 60)[8]


def test_ended_jobs_are_few_unless_wanted_and_the_one_that_is_watched_stays() -> None:
    found = world(*(job(number, "completed", ended_at=NOW + number, run_time=1.0) for number in range(1, 12)))
    lines = shown(found, ended=2, keep=1)
    assert lines[0].startswith("Running 0")
    assert lines[1].startswith("Ended lately, 8 more: o")
    assert [line.split()[0] for line in lines[2:5]] == ["11", "10", "1"]
    assert lines[5].startswith("Waiting 0")


def test_a_filter_wants_all_words_and_looks_at_names_states_tags_and_commands() -> None:
    found = world(job(1, "running", tags={"set": "a"}), job(2, command=["python", "Train.py"]), job(3, user="ann"))
    for text, ids in (("set=a", [1]), ("train.PY job-2", [2]), ("queued", [2, 3]), ("ann", [3]), ("ann x", [])):
        found.filter = text
        assert [one for one in (1, 2, 3) if found.matches(one)] == ids, text


def test_the_line_moves_on_without_news_of_each_job_and_what_is_gone_is_forgotten() -> None:
    found = world(job(1), job(2), job(3), job(9, why_code="held"))
    assert [found.position(one) for one in (1, 2, 3, 9)] == [1, 2, 3, None]
    answer = {"epoch": "e", "gpus": [], "counts": {}, "running": [job(1, "running")], "queued": []}
    columns = {"expected_start_at": [5.0, 6.0, None], "expected_gpu_ids": None}
    found.take(answer, {"jobs": [3, 2, 9], "ready": 2, **columns}, [])
    assert [found.position(one) for one in (1, 2, 3, 9)] == [None, 2, 1, None]
    assert found.jobs[3]["expected_start_at"] == 5.0
    found.take({**answer, "running": []}, {"jobs": [2], "ready": 1}, [])
    assert {*found.jobs} == {2}
    assert found.hear({"type": "progress", "id": 2, "progress": {"fraction": 0.5}})
    assert found.hear({"type": "progress", "id": 77, "progress": {}})
    assert found.jobs[2]["progress"] == {"fraction": 0.5}
    assert not found.hear({"type": "job", "id": 2})


def test_gpus_say_who_is_on_them_and_how_many_there_was_no_room_for() -> None:
    eve = [{"pid": 4242, "user": "eve", "command": "/usr/bin/python x", "memory": 2**33}]
    found = world(gpus=[gpu(0, jobs=[7], use="held"), gpu(1, foreign=eve, use="foreign"), *map(gpu, range(2, 20))])
    lines = [plain(line) for line in panels.gpu_lines(found, 110, 4)]
    assert len(lines) == 4
    assert lines[0].split() == [
        "GPU",
        "0",
        "H100",
        "██████░░░░░░",
        "32.0/64.0",
        "GiB",
        "87",
        "%",
        "64",
        "°C",
        "job",
        "7",
    ]
    assert "used by eve: python (pid 4242, 8.0 GiB)" in lines[1].replace("8 GiB", "8.0 GiB")
    assert lines[3].startswith("and 17 more")
    for width in (1, 20, 40, 60, 80):
        assert all(cells(plain(line)) <= width for line in panels.gpu_lines(found, width, 40))
    bare = gpu(0, index=None, id="cpu:0", name="", memory_total=None, memory_used=None, utilization=None)
    assert plain(panels.gpu_line(bare, 80, 10)).startswith("cpu:0")


def test_nobody_overlooks_a_pause_or_a_lost_daemon() -> None:
    found = world(paused=True, pause_reason="the machine was restarted \x1b", paused_since=NOW)
    (banner,) = panels.banners(found, "", 100)
    assert "PAUSED (the machine was restarted" in plain(banner)
    assert cells(plain(banner)) == 100
    assert banner[0][1] == "banner"
    assert 1 < len(panels.banners(found, "The daemon is away. " * 5, 30)) <= 6
    found = world(draining=True, paused=True, lanes=[{"name": "night", "paused": True}])
    said = [plain(line) for line in panels.banners(found, "", 120)]
    assert "DRAINING" in said[0]
    assert "Lane night is PAUSED" in said[1]
    assert "○ no connection" in plain(panels.status(found, "x", 100, "/home/x"))
    assert "asking" in plain(panels.status(World(), "", 100, "/home/x"))
    assert all(cells(plain(line)) <= 40 for line in [panels.hints(40), *panels.help_lines(40)])


def test_questions_say_what_will_happen() -> None:
    run = job(1, "running", started_at=NOW - 7200, progress={"fraction": 0.5}, grace=30.0, warn=60.0)
    found = world(run, job(2, after=[1], waits_for=[1]), job(3, after=[1], waits_for=[1], keep=True), job(4))
    asked = deeds.cancel(found, run, NOW).question
    for words in ("job 1 (job-1)", "2 h 00 min", "50 %", "SIGKILL after 30 s", "1 job waiting for it (2) is cancelled"):
        assert words in asked, asked
    waiting = deeds.cancel(found, found.jobs[4], NOW)
    assert "has not started" in waiting.question
    assert waiting.undo == (("retry", {"jobs": [4]}), ("move", {"job": 4, "to": "back"}))
    assert deeds.cancel(found, run | {"stopping": True}, NOW).calls[0][1] == {"jobs": [1], "force": True}
    assert "SIGUSR1, after 1 min SIGTERM" in deeds.preempt(found, run, NOW).question
    assert "when the 1 running job has ended" in deeds.drain(found).question


def test_what_is_not_possible_is_said_before_the_daemon_is_asked() -> None:
    done = job(5, "completed")
    found = world(job(1, "running"), job(2), job(3), done)
    wrong: list[Callable[[], object]] = [
        lambda: deeds.cancel(found, done, NOW),
        lambda: deeds.hold(found, found.jobs[1], NOW),
        lambda: deeds.move(found, found.jobs[1], "front"),
        lambda: deeds.move(found, found.jobs[2], "up"),
        lambda: deeds.move(found, found.jobs[3], "down"),
        lambda: deeds.retry(found, found.jobs[2], NOW),
        lambda: deeds.suspend(found, found.jobs[2], NOW),
        lambda: deeds.preempt(found, found.jobs[1] | {"stopping": True}, NOW),
        lambda: deeds.priority(found.jobs[2], "urgent"),
        lambda: deeds.priority(found.jobs[1], "high"),
        lambda: deeds.drain(world(draining=True)),
    ]
    for act in wrong:
        with pytest.raises(Refused, match=r"."):
            act()


def test_who_has_no_position_is_nobodys_neighbour() -> None:
    found = world(job(1, "running"), job(2), job(3, why_code="held"))
    assert found.ready == 1
    assert deeds.place_back(found, found.jobs[2]) == (("move", {"job": 2, "to": "back"}),)
    assert deeds.place_back(found, found.jobs[3]) == ()
    for where, number in (("down", 2), ("up", 3)):
        with pytest.raises(Refused):
            deeds.move(found, found.jobs[number], where)


def test_deeds_and_what_takes_them_back() -> None:
    found = world(job(1, "running"), job(2), job(3), job(4))
    two, three = found.jobs[2], found.jobs[3]
    assert deeds.hold(found, two, NOW).calls == (("hold", {"jobs": [2]}),)
    assert deeds.hold(found, two | {"why_code": "held"}, NOW).calls == (("release", {"jobs": [2]}),)
    assert deeds.move(found, three, "up").calls == (("move", {"job": 3, "before": 2}),)
    assert deeds.move(found, three, "up").undo == (("move", {"job": 3, "before": 4}),)
    assert deeds.move(found, three, "down").calls == (("move", {"job": 4, "before": 3}),)
    assert deeds.move(found, three, "down").undo == (("move", {"job": 3, "before": 4}),)
    assert deeds.priority(two, " high ").calls == (("edit", {"jobs": [2], "set": {"priority": "high"}}),)
    assert deeds.suspend(found, found.jobs[1] | {"suspended": True}, NOW).calls[0][0] == "continue"
    assert deeds.pause(world(draining=True)).calls == (("resume", {}),)
    moved = deeds.outcome(deeds.move(found, three, "front"), [{"job": {"id": 3, "position": 1}}])
    assert moved == "job 3 has position 1 now"
    bad = {"ok": False, "error": {"message": "$.jobs[0].priority: no"}}
    with pytest.raises(Refused, match="--priority: no"):
        deeds.outcome(deeds.hold(found, two, NOW), [{"jobs": [bad]}])


def test_logs_lose_what_terminals_obey_and_keep_the_last_frame_of_a_bar() -> None:
    text = LogText(kept=5)
    text.feed("ein\x1b[31m rot\x1b[0m\r\n 10%\r 20%\r 30%\n\u2028ü".encode()[:-1])
    text.feed("ü".encode()[-1:] + b"\x00\xff\tx")
    assert [text.line(at) for at in range(len(text))] == ["ein rot", " 30%", "ü��    x"]
    text.skip()
    text.feed(b"1\n2\n3\n4\n5\n6\n7")
    assert [text.line(at) for at in range(len(text))] == ["2", "3", "4", "5", "6", "7"]
    assert text.gone
    text.feed(b"y" * 2**22)
    assert len(text.line(len(text) - 1)) <= 400


def test_a_job_in_full() -> None:
    told = job(7, "failed", command=["python", "x" * 1000], cause="exit", exit_code=1, ended_at=NOW)
    tries = [{"attempt": n, "state": "failed", "cause": "exit", "exit_code": n, "signal": None} for n in (1, 2)]
    rest = {"message": None, "run_time": 1.0, "ended_at": NOW}
    lines = detail_lines({"job": told, "attempts": [one | rest for one in tries], "env": {"A": "1"}}, None, 60, NOW)
    text = "\n".join(map(plain, lines))
    for words in ("Job 7", "attempt 2", "failed (exit, exit 2)", "A=1", "exit_code"):
        assert words in text, words
    assert all(cells(plain(line)) <= 62 for line in lines)
    assert "not known" in plain(detail_lines(None, None, 60, NOW)[0])


def test_parts_fit() -> None:
    assert clean("a\nb") == "a�b"
    assert part("模型训练", 5) == ("模型…", "")
    assert part("模型训练", 6) == ("模型… ", "")
    assert plain(cut([("abc", ""), ("def", "")], 5)) == "abcd…"
    assert plain(ends([("left", "")], [("right", "")], 12)) == "left   right"
    assert plain(ends([("left", "")], [("right", "")], 8)) == "left"
    assert plain(rule([("x", "")], 5)) == "x ───"
    assert (bar(0, 4), bar(1, 4), bar(0.5, 3), bar(7, 2)) == ("░░░░", "████", "█▌░", "██")
    assert fact({"metrics": {}, "step": 3, "total": 9}) == "3/9"
    assert fact({"message": "loads"}) == "loads"
