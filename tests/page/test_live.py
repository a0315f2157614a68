"""The page on the real gateway and the real daemon: what people do with it, and what may happen to it meanwhile."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from page.test_queue import order, row, sees, until_order
from support import wait_until

from trainqueue.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from page.conftest import Web
    from playwright.sync_api import Page
    from support import Daemon

    Opened = Callable[..., Page]

TRAIN = """\
import json, os, sys, time
gate = sys.argv[1]
for step in range(1, 4):
    with open(os.environ["TRAINQ_PROGRESS"] + ".new", "w") as file:
        json.dump({"step": step, "total": 4, "loss": 1 / step}, file)
    os.replace(file.name, os.environ["TRAINQ_PROGRESS"])
while not os.path.exists(gate):
    time.sleep(0.01)
"""


def test_a_job_from_the_form_to_its_end_and_the_others_meanwhile(
    daemon: Daemon, web: Web, opened: Opened, tmp_path: Path
) -> None:
    gate, script = tmp_path / "gate", tmp_path / "train.py"
    script.write_text(TRAIN, encoding="utf-8")
    page = opened(f"{web.url}/?view=submit")
    for number in range(1, 5):
        page.get_by_label("Command").fill(f"python3 {script} {gate}")
        page.get_by_label("Name", exact=True).fill(f"run {number}")
        page.get_by_label("Folder").fill(str(tmp_path))
        page.get_by_label("GPUs").fill("1")
        page.get_by_role("button", name="Queue it").click()
        row(page, number).wait_for()
        page.get_by_role("link", name="New job").click()
    page.get_by_role("link", name="Queue").click()
    sees(row(page, 3), "Queued (position: 2)")
    sees(row(page, 1), "75 %")
    sees(row(page, 1), "loss 0.333")
    page.get_by_label("Move up: job 4", exact=True).click()
    until_order(page, 2, 4, 3)
    with Client(daemon.home) as client:
        wait_until(lambda: client.line()["jobs"] == [2, 4, 3])
    page.get_by_label("Cancel: job 3", exact=True).click()
    sees(row(page, 3), "Cancelling …")
    page.get_by_role("button", name="Undo").click()
    sees(row(page, 3), "Queued (position: 3)")
    page.get_by_role("button", name="Pause", exact=True).click()
    sees(page.locator("#banners"), "Paused since")
    gate.touch()
    sees(row(page, 1), "Completed")
    assert order(page) == [2, 4, 3]
    page.locator("#banners").get_by_role("button", name="Resume").click()
    for number in (2, 3, 4):
        sees(row(page, number), "Completed")


def test_the_daemon_dies_and_comes_back_under_an_open_page(daemon: Daemon, web: Web, opened: Opened) -> None:
    with Client(daemon.home) as client:
        client.submit([{"command": ["sleep", "600"], "cwd": "/"}, {"command": ["sleep", "1"], "cwd": "/"}])
    page = opened(web.url)
    sees(row(page, 1), "Running")
    daemon.kill()
    sees(page.locator("#banners"), "No daemon answers")
    row(page, 2).focus()
    page.keyboard.press("h")
    sees(page.locator("#toasts [data-kind=error]"), "daemon")
    daemon.start()
    banner = page.locator("#banners")
    sees(banner, "2 jobs kept")
    assert re.search(r"Daemon restarted \d\d:\d\d, 2 jobs kept", banner.inner_text())
    sees(row(page, 1), "Running")
    page.get_by_label("Cancel: job 1", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    sees(page.locator(".jobs.recent"), "Cancelled")
    sees(row(page, 2), "Completed")


def test_eight_tabs_at_once_all_live_and_none_in_the_way(daemon: Daemon, web: Web, opened: Opened) -> None:
    """A browser opens six connections to a host: one tab has the stream, and hands on what it hears."""
    with Client(daemon.home) as client:
        client.call("pause")
        client.submit([{"command": ["true"], "cwd": "/", "name": f"job {at}"} for at in range(3)])
    first = opened(web.url)
    tabs = [first, *(first.context.new_page() for _ in range(7))]
    for tab in tabs[1:]:
        tab.goto(web.url)
    for tab in tabs:
        sees(row(tab, 3), "Queued (position: 3)")
        sees(tab.locator("#live"), "live")
    tabs[7].get_by_label("Move up: job 2", exact=True).click()
    for tab in tabs:
        until_order(tab, 2, 1, 3)
    first.close()  # it led
    tabs[3].get_by_label("Move up: job 3", exact=True).click()
    for tab in tabs[1:]:
        until_order(tab, 2, 3, 1)
        assert tab.locator("#live").inner_text() == "live"
