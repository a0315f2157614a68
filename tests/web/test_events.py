"""The stream of events: what a page sees of jobs, logs, a daemon that dies, and a server that stops."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from commands import Cli
from gateway import API, Events, Web
from support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Daemon


def is_snapshot(kind: str, data: Any) -> bool:
    del data
    return kind == "snapshot"


def is_away(kind: str, data: Any) -> bool:
    del kind
    return data.get("daemon", {}).get("connected") is False


def job_in(job: int, state: str) -> Callable[[str, Any], bool]:
    def wanted(kind: str, data: Any) -> bool:
        del kind
        jobs = [*data.get("jobs", ()), *data.get("running", ()), *data.get("queued", ()), *data.get("recent", ())]
        return any(one["id"] == job and one["state"] == state for one in jobs)

    return wanted


def test_a_page_sees_a_job_come_run_and_end(web: Web) -> None:
    with Events(web) as page:
        first = page.until(is_snapshot)
        assert first["daemon"]["connected"]
        assert {"seq", "epoch", "at", "paused", "lanes", "counts", "gpus", "gpu_history"} <= {*first}
        assert {"running", "queued", "recent"} <= {*first}
        web.post(f"{API}/pause")
        page.until(lambda kind, data: kind == "delta" and data.get("paused") is True)
        job = web.submit("true", name="<script>\u202e")
        told = page.until(job_in(job, "queued"))
        told = next(one for one in told["jobs"] if one["id"] == job)
        assert {*told} <= {*first["fields"]}, "who reads it knows what is null"
        assert None not in told.values()
        assert "pid" not in told
        assert "pid" in first["fields"]
        web.submit("true")
        page.until(lambda kind, data: kind == "delta" and job in data.get("line", {"jobs": []})["jobs"][:1])
        web.post(f"{API}/resume")
        page.until(job_in(job, "completed"))
        web.post(f"{API}/pause")
        other = web.submit("true")
        page.until(job_in(other, "queued"))
        web.post(f"{API}/cancel/{other}")
        page.until(job_in(other, "cancelled"))
        web.post(f"{API}/resume")


def test_a_log_rides_along_whole_characters_at_a_time(web: Web) -> None:
    job = web.submit("sh", "-c", r"printf '\303'; sleep 0.4; printf '\244\377\n'; head -c 300000 /dev/zero | tr '\0' y")
    text = ""
    with Events(web, f"?log={job}") as page:

        def ends(kind: str, data: Any) -> bool:
            nonlocal text
            del kind
            if "log" in data:
                assert data["log"]["job"] == job
                text += data["log"]["data"]
                return bool(data["log"]["eof"])
            return False

        page.until(ends)
    assert text == "ä\ufffd\n" + 300_000 * "y" or text.endswith(60_000 * "y")


def test_a_row_has_the_beginning_of_a_long_command(web: Web) -> None:
    web.post(f"{API}/pause")
    job = web.submit("python", "-c", 300_000 * "x", "last", tags={"lr": "0.1"})
    with Events(web) as page:
        first = page.until(is_snapshot)
        [row] = [row for row in first["queued"] if row["id"] == job] or page.until(job_in(job, "queued"))["jobs"]
        assert row["cut"] == ["command"]
        assert row["command"] == ["python", "-c", 1024 * "x" + "…"]
        assert row["tags"] == {"lr": "0.1"}
        web.post(f"{API}/edit/{job}", {"set": {"command": ["python", "-c", 300_000 * "x", "another"]}})
        page.until(lambda kind, data: kind == "delta" and any(row["id"] == job for row in data.get("jobs", ())))
    assert web.get(f"{API}/status/{job}").json["command"][-1] == "another"
    web.post(f"{API}/cancel/{job}")
    web.post(f"{API}/resume")


def test_a_slow_page_gets_less_not_later(web: Web) -> None:
    """It does not read while hundreds of things happen; then it sees their end, in a few deltas."""
    with Events(web) as page:
        page.until(is_snapshot)
        for _ in range(40):
            assert web.post(f"{API}/pause").status == 200
            assert web.post(f"{API}/resume").status == 200
        job = web.submit("true")
        page.until(job_in(job, "completed"))
        assert not page.seen[-1][1].get("paused", False)


def test_the_daemon_dies_and_another_one_comes(daemon: Daemon) -> None:
    with Web(Cli(daemon)) as web, Events(web) as page:
        before = page.until(is_snapshot)
        daemon.kill()
        page.until(is_away)
        assert web.get(f"{API}/queue").code == "unavailable"
        assert web.post(f"{API}/pause").status == 503
        assert "trainq_up 0.0" in web.get("/metrics").data.decode()
        with Events(web) as late:
            late.until(is_away)
        daemon.start()
        after = page.until(lambda kind, data: kind == "snapshot" and data["epoch"] != before["epoch"])
        assert after["daemon"]["connected"]


def test_it_ends_in_time_whoever_looks_on(served: Daemon) -> None:
    """With open streams, one that is not read, and a request that a hanging daemon does not answer."""
    web = Web(Cli(served))
    with Events(web) as page, Events(web), web.raw(f"GET {API}/events HTTP/1.1\r\nhost: localhost\r\n\r\n"):
        page.until(is_snapshot)
        assert served.process is not None
        os.kill(served.process.pid, signal.SIGSTOP)
        try:
            with web.raw(f"GET {API}/queue HTTP/1.1\r\nhost: localhost\r\n\r\n"):
                wait_until(lambda: web.get("/").status == 200)  # it does not wait for the daemon
                code, seconds, words = web.stop(signal.SIGINT)
        finally:
            os.kill(served.process.pid, signal.SIGCONT)
    assert (code, words) == (0, "")
    assert seconds < 4  # within 2 s on a machine that is not busy
