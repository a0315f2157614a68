"""Job, GPU, timeline and history views on the real gateway and daemon: what runs, what dies, and many tabs at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from support import Daemon, wait_until

from trainqueue.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from page.conftest import Web
    from playwright.sync_api import Page

    from trainqueue.home import Home

TALKS = """
i=0
while [ ! -e "$0" ]; do
    i=$((i+1)); echo "line $i of <b>it</b>"
    echo "{\\"step\\": $i, \\"total\\": 1000, \\"loss\\": 0.5}" > "$TRAINQ_PROGRESS.new"
    mv "$TRAINQ_PROGRESS.new" "$TRAINQ_PROGRESS"; sleep 0.05
done
echo 'the last words'; exit 3
"""


@pytest.fixture
def daemon(home: Home) -> Iterator[Daemon]:
    """With two pretend GPUs."""
    made = Daemon(home)
    made.env["TRAINQ_FAKE_GPUS"] = "2x24GiB"
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        with Client(home) as client:
            client.shutdown("cancel")
        made.process.wait(30)


def newest(page: Page) -> int:
    """The number of the last line that the log shows."""
    return int(re.findall(r"line (\d+) of", page.locator(".log-lines").text_content() or "line 0 of")[-1])


def test_a_job_is_seen_through_a_death_of_the_daemon_and_in_every_view(
    daemon: Daemon, web: Web, opened: Callable[..., Page], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with Client(daemon.home) as client:
        client.submit(
            [
                {"command": ["sh", "-c", TALKS, str(gate)], "cwd": "/", "name": "<script>", "tags": {"set": "a"}},
                {"command": ["sleep", "600"], "cwd": "/", "time_limit": 1200.0},
                {"command": ["true"], "cwd": "/", "name": "waits", "env_extra": {"API_TOKEN": "secret-value"}},
            ]
        )
    page = opened(f"{web.url}/?job=1")
    expect(page.locator(".job-state .badge")).to_have_text("Running")
    expect(page.locator("h1")).to_have_text("#1<script>")
    expect(page.get_by_text("line 5 of <b>it</b>")).to_be_visible()
    expect(page.locator(".job-progress")).to_contain_text("loss 0.5")
    expect(page.locator(".metric", has_text="progress").locator(".curve")).to_be_attached()

    daemon.kill()
    expect(page.locator("#banners")).to_contain_text("No daemon answers")
    seen = newest(page)
    daemon.start()
    expect(page.locator("#banners")).to_contain_text("3 jobs kept")
    wait_until(lambda: newest(page) > seen + 5)
    numbers = re.findall(r"line (\d+) of", page.locator(".log-lines").text_content() or "")
    assert [int(number) for number in numbers] == list(range(1, len(numbers) + 1)), "no line is lost or shown twice"

    pages = [page] + [page.context.new_page() for _ in range(7)]
    places = ["/?job=1", "/?job=1", "/?job=1", "/?job=2", "/?view=gpus", "/?view=timeline", "/?job=3"]
    for other, place in zip(pages[1:], places, strict=True):
        other.goto(web.url + place)
    waiting = pages[7]
    waiting.get_by_role("button", name="Hold").click()
    expect(waiting.locator(".toast")).to_contain_text("Held")
    expect(waiting.locator(".job-state .badge")).to_have_text("Held")
    for other in pages:
        expect(other.locator(".live")).to_have_text("live")
    seen = newest(page)
    for other in pages[:4]:  # on a stream of their own, and without one
        wait_until(lambda other=other: newest(other) > seen)  # type: ignore[misc]
    waiting.get_by_text("Environment").click()
    expect(waiting.locator(".env")).to_contain_text("API_TOKEN")
    assert "secret-value" not in (waiting.locator(".env").text_content() or "")
    for other in pages[1:]:
        other.close()

    gate.touch()
    expect(page.locator(".job-state .badge")).to_have_text("Failed (exit code 3)")
    expect(page.locator(".failure-tail")).to_contain_text("the last words")
    page.get_by_role("link", name="GPUs").click()
    expect(page.locator(".gpu-card").nth(0).locator(".badge")).to_have_text("free")
    expect(page.locator(".gpu-card").nth(1).locator(".gpu-jobs a")).to_have_text("2 sleep 600")
    page.get_by_role("button", name="Disable GPU 0").click()
    expect(page.locator(".gpu-card").nth(0).locator(".badge")).to_have_text("disabled")
    page.get_by_role("link", name="Timeline").click()
    expect(page.locator(".tl-bar.failed")).to_have_count(1)
    expect(page.locator(".tl-bar.running")).to_have_count(1)
    expect(page.locator(".tl-words")).to_contain_text("1 waiting job has no known start")
    page.goto(f"{web.url}/?view=history&states=failed&name=%3Cscr*&tag=set%3Da")
    expect(page.locator(".history-table tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Retry job 1").click()
    page.locator(".toast").get_by_role("button", name="Show").click()
    expect(page.locator(".job-state .badge")).to_contain_text("Queued")
    expect(page.locator(".log-lines")).to_contain_text("the last words")
