"""GPU cards, timeline and history in a real browser; axe looks at them, and at a job, in both sizes and themes."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from page.conftest import NARROW, WIDE
from page.fakejobs import GIB, ended, gpu, job
from page.fakelogs import LogGate, serving_logs
from page.test_looks import complaints
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from playwright.sync_api import Page

EVE = {"pid": 4242, "user": "eve", "command": "python <b>secret</b>.py", "memory": 6 * GIB}
OURS = {"pid": 4010, "user": "ann", "command": "python train.py", "memory": 12 * GIB, "job": 10}


@pytest.fixture
def gate() -> LogGate:
    found = LogGate(cards=3)
    now = time.time()
    found.cards[0] |= {"memory_used": 13 * GIB, "processes": [OURS], "utilization": 87.0, "power": 412.0}
    eve = "GPU 1 is used by eve (pid 4242, 6 GiB)"
    found.cards[1] |= {"memory_used": 6 * GIB, "foreign": [EVE], "why": eve}
    found.cards.append(gpu(3, id="cpu:0", name="cpu", memory_total=None, memory_used=None, utilization=None))
    found.cards[3] |= {"temperature": None, "power": None}
    found.change(20, expected_gpu_ids=["GPU-fake-0"], expected_end_at=now + 7200)
    found.change(21, expected_gpu_ids=["GPU-fake-1"])
    found.jobs[2] |= {"name": "<script>alert(1)</script>", "tags": {"set": "a"}, "group": "sweep1"}
    found.cards[1]["use"] = "foreign"
    found.write(10, "step 1\nstep 2\n")
    found.write(2, "Traceback\nModuleNotFoundError: No module named 'wandb'\n")
    found.series[10] = {"loss": [[now - 900 + at, at, 1 / (1 + at)] for at in range(50)]}
    return found


@pytest.fixture
def url(gate: LogGate) -> Generator[str, None, None]:
    with serving_logs(gate) as found:
        yield found


def test_cards_show_whose_memory_it_is(gate: LogGate, url: str, opened: Callable[..., Page]) -> None:
    page = opened(f"{url}/?view=gpus")
    cards = page.locator(".gpu-card")
    expect(cards).to_have_count(4)
    first, second, slot = cards.nth(0), cards.nth(1), cards.nth(3)
    expect(first.locator(".memory-words")).to_have_text("12 GiB jobs1 GiB system11 GiB free of 24 GiB")
    expect(first.locator(".gpu-figures")).to_contain_text("87 %")
    expect(first.locator(".spark-line").first).to_have_attribute("d", re.compile("^M"))
    expect(first.locator(".gpu-jobs a")).to_have_attribute("href", "/?job=10")
    expect(first.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "20")

    expect(second.locator(".badge")).to_have_text("used by others")
    expect(second.locator(".gpu-why")).to_have_text("GPU 1 is used by eve (pid 4242, 6 GiB)")
    expect(second.locator(".gpu-foreign")).to_contain_text("python <b>secret</b>.py")
    expect(second.locator(".gpu-foreign td").nth(1)).to_have_text("eve")
    expect(slot.locator("h2")).to_have_text("No GPU")
    expect(slot.locator(".gpu-figures")).to_be_hidden()
    expect(slot.locator(".gpu-memory")).to_be_hidden()

    gate.report(10, fraction=0.5)
    expect(first.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50")
    with gate.lock:
        gate.cards[0] |= {"utilization": 3.0, "foreign": [EVE | {"memory": None}], "memory_used": 20 * GIB}
        gate.tell(gpus=gate.cards)
    expect(first.locator(".gpu-figures")).to_contain_text("3 %")
    expect(first.locator(".gpu-foreign")).to_contain_text("not told")
    expect(first.locator(".memory-words")).to_contain_text("8 GiB others")

    page.get_by_role("button", name="Disable GPU 2").click()
    expect(page.locator(".toast")).to_contain_text("Disabled")
    assert ("/gpus/disable", {"gpus": ["GPU-fake-2"]}) in gate.asked
    gate.refuse["/gpus/disable"] = (503, "unavailable", "the daemon is leaving; nothing was changed")
    page.get_by_role("button", name="Disable GPU 0").click()
    expect(page.locator(".toast", has_text="nothing was changed")).to_be_visible()


def test_the_timeline_shows_past_and_plan(gate: LogGate, url: str, opened: Callable[..., Page]) -> None:
    page = opened(f"{url}/?view=timeline")
    bars = page.locator(".tl-bar")
    expect(page.locator(".tl-bar.running")).to_have_count(3)
    expect(page.locator(".tl-bar.planned")).to_have_count(2)
    expect(page.locator(".tl-bar.failed")).to_have_count(2)
    expect(page.locator(".tl-whisker").first).to_be_attached()
    expect(page.locator(".tl-words")).to_have_text("3 waiting jobs have no known start")
    failed = page.locator('.tl-bar[data-key="GPU-fake-0/2"]')
    expect(failed).to_have_attribute("aria-label", re.compile("^Job 2 <script>alert.*, failed, from .* until "))
    planned = page.locator(".tl-bar.planned").last
    expect(planned).to_have_attribute("aria-label", re.compile("planned from .* its end is unknown"))

    page.evaluate("document.querySelector('.tl-bar').dataset.same = 'yes'")
    gate.report(11, step=6, fraction=0.4, metrics={"loss": 0.1})
    with gate.lock:
        gate.tell(jobs=[job(99)])
    expect(page.locator(".tl-words")).to_have_text("4 waiting jobs have no known start")
    expect(page.locator(".tl-bar[data-same]")).to_have_count(1)  # nothing that is drawn has changed
    gate.change(10, state="completed", ended_at=time.time(), exit_code=0, run_time=5000.0)
    expect(page.locator(".tl-bar.running")).to_have_count(2)
    expect(page.locator(".tl-bar[data-same]")).to_have_count(0)
    page.get_by_role("button", name="1 h", exact=True).click()
    expect(page).to_have_url(re.compile("zoom=1h"))
    expect(page.locator('.tl-bar[data-key="GPU-fake-0/2"]')).to_have_count(0)
    page.get_by_text("The same as a list").click()
    expect(page.locator(".tl-list tbody tr").first).to_contain_text("GPU 0")
    page.locator(".tl-bar[tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.classList.contains('tl-bar')")
    page.keyboard.press("ArrowDown")
    assert bars.count() > 3
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(re.compile("^#"))


def test_history_is_filtered_by_the_url(gate: LogGate, url: str, opened: Callable[..., Page]) -> None:
    gate.add(*(ended(100 + at, "completed", 9000, name=f"many {at}") for at in range(60)))
    page = opened(f"{url}/?view=history&states=failed&name=alert")
    rows = page.locator(".history-table tbody tr")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("<script>alert(1)</script>")
    expect(rows.first).to_contain_text("Failed (exit code 1)")
    expect(rows.first).to_contain_text("No module named 'wandb'")
    expect(page.get_by_role("button", name="failed")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Clear filters").click()
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Show older ones").click()
    expect(rows).to_have_count(64)
    gate.change(12, state="lost", ended_at=time.time(), message="its runner died")
    expect(page.locator(".badge", has_text="Lost")).to_be_visible()
    expect(rows).to_have_count(65)
    page.get_by_label("Name").fill("MANY 1*")
    expect(rows).to_have_count(11)
    page.get_by_label("Name").fill("nothing such")
    expect(page.locator(".history .empty")).to_have_text("No ended job matches these filters.")
    expect(page).to_have_url(f"{url}/?view=history&name=nothing+such")
    page.get_by_label("Name").fill("wandb")
    page.get_by_role("button", name="Clear filters").click()

    page.get_by_role("button", name="lost").click()
    page.get_by_role("button", name="Retry job 12").click()
    expect(page.locator(".toast")).to_contain_text("Job 12 waits again")
    expect(rows).to_have_count(0)
    page.goto(f"{url}/?view=history&states=lost,bogus,%3Cb%3E")
    expect(page.get_by_role("button", name="lost")).to_have_attribute("aria-pressed", "true")


PLACES = {
    "job": "/?job=10",
    "failed": "/?job=2",
    "gpus": "/?view=gpus",
    "timeline": "/?view=timeline",
    "history": "/?view=history",
}


@pytest.fixture(scope="module")
def checker() -> str:
    """What axe-core injects into a page."""
    base = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing")
    return str(base.Axe().axe_script)


@pytest.mark.parametrize(
    ("size", "theme", "but"), [(WIDE, "light", "failed"), (NARROW, "dark", "job")], ids=["wide", "narrow"]
)
def test_everybody_can_use_them(
    url: str, opened: Callable[..., Page], checker: str, pictures: Path, size: dict[str, int], theme: str, but: str
) -> None:
    page = opened("about:blank", size=size, theme=theme)
    for name in PLACES.keys() - {but}:
        page.goto(f"{url}{PLACES[name]}")
        expect(page.locator(".live")).to_have_text("live")
        expect(page.locator(".log-line, .gpu-card, .tl-bar, .history-table tbody tr").first).to_be_attached()
        shot = pictures / f"{name}-{size['width']}-{theme}.png"
        shot.write_bytes(page.screenshot(full_page=True))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the window"
        assert not complaints(page, checker), name
