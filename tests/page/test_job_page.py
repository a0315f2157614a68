"""A job's page in a real browser: its log (followed, searched, read backwards, hostile), metrics, attempts, actions."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from page.fakelogs import LogGate, serving_logs
from playwright.sync_api import expect
from support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from playwright.sync_api import Locator, Page


@pytest.fixture
def gate() -> LogGate:
    return LogGate()


@pytest.fixture
def url(gate: LogGate) -> Generator[str, None, None]:
    with serving_logs(gate) as found:
        yield found


def lines(page: Page) -> Locator:
    return page.locator(".log-line")


def at_end(page: Page) -> None:
    """The log shows its end, and says so by not offering to go there."""
    below = "(box) => box.scrollHeight - box.scrollTop - box.clientHeight"
    wait_until(lambda: page.locator(".log-box").evaluate(below) < 30)
    expect(page.locator(".log-end")).to_be_hidden()


def top(page: Page) -> float:
    return float(page.locator(".log-box").evaluate("(box) => box.scrollTop"))


def scroll(page: Page, to: str) -> None:
    page.locator(".log-box").evaluate(f"(box) => {{ box.scrollTop = {to}; }}")


def test_a_log_is_followed_until_somebody_scrolls_up(gate: LogGate, url: str, opened: Callable[..., Page]) -> None:
    gate.write(10, "".join(f"line {at} of it\n" for at in range(30_000)))
    page = opened(f"{url}/?job=10")
    expect(page.get_by_text("line 29999 of it")).to_be_visible()
    gate.write(10, "written later\n")
    expect(page.get_by_text("written later")).to_be_visible()
    at_end(page)

    scroll(page, "box.scrollHeight / 2")
    expect(page.locator(".log-end")).to_be_visible()
    place = top(page)
    gate.write(10, "while it is read\n")
    expect(page.get_by_text("while it is read")).to_be_attached()
    assert top(page) == place, "it must stay where it is read"

    scroll(page, "0")  # older parts come, and nothing jumps
    wait_until(lambda: top(page) > 1000 and lines(page).count() > 2500)
    for _ in range(6):
        scroll(page, "0")
        wait_until(lambda: top(page) > 1000)
    texts = lines(page).all_text_contents()
    assert len(texts) < 4500, "there are no more than some thousand lines in the document"
    numbers = [int(text.split()[1]) for text in texts if text.startswith("line")]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "none is left out or shown twice"

    scroll(page, "box.scrollHeight")  # the end was let go: what follows is read on
    expect(page.locator(".log-lines")).to_contain_text(f"line {numbers[-1] + 5} of it")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Jump to the end of the log").click()
    expect(page.get_by_text("while it is read")).to_be_visible()
    at_end(page)
    assert page.get_by_role("link", name="Download").get_attribute("href") == (
        "/api/training/logs/10?attempt=1&download=1"
    )


def test_text_is_found_in_a_log(gate: LogGate, url: str, opened: Callable[..., Page]) -> None:
    gate.write(10, "".join(f"step {at} loss {at % 7}.(5)\n" for at in range(500)))
    page = opened(f"{url}/?job=10")
    expect(page.get_by_text("step 499 loss")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("LOSS 3.(5)")
    count = page.locator(".log-count")
    expect(count).to_have_text("71 of 71")
    expect(page.locator("mark")).to_have_count(71)
    page.keyboard.press("Enter")
    expect(count).to_have_text("1 of 71")
    expect(page.locator("mark.now")).to_be_in_viewport()
    page.keyboard.press("Shift+Enter")
    expect(count).to_have_text("71 of 71")
    gate.write(10, "step 500 loss 3.(5)\n")
    expect(count).to_have_text("71 of 72")
    page.get_by_role("button", name="The next match").click()
    expect(count).to_have_text("72 of 72")
    page.get_by_label("Search this log").fill("nowhere")
    expect(count).to_have_text("nothing found")
    page.keyboard.press("Escape")
    expect(page.locator("mark")).to_have_count(0)


def test_whatever_a_program_writes_does_no_harm(gate: LogGate, url: str, opened: Callable[..., Page]) -> None:
    said: list[str] = []
    gate.jobs[10]["name"] = "<img src=x onerror=alert(1)> \u202egpj"
    gate.write(10, "<script>alert(1)</script><img src=x onerror=alert(2)>\n\u202eright to left\n\x1b]0;title\x07ok\n")
    page = opened(f"{url}/?job=10")
    page.on("dialog", lambda dialog: said.append(dialog.message))
    expect(page.get_by_text("<script>alert(1)</script>")).to_be_visible()
    expect(page.locator("h1")).to_have_text("#10<img src=x onerror=alert(1)> \ufffdgpj")
    expect(lines(page).nth(2)).to_have_text("ok")

    gate.write(10, "\x1b[1;31mRed\x1b[0m and \x1b[38;5;46mgreen\x1b[m\n")
    expect(page.locator(".ansi-red.ansi-bold")).to_have_text("Red")
    expect(page.locator(".ansi-green")).to_have_text("green")
    gate.write(10, "".join(f"\repoch 3: {at:3}%|{'#' * (at // 10):10}| {at}/100" for at in range(100)))
    gate.write(10, "\repoch 3: 100%\x1b[K\n")
    expect(page.get_by_text("epoch 3: 100%", exact=True)).to_be_visible()
    expect(page.get_by_text("epoch 3", exact=False)).to_have_count(1)
    gate.write(10, "epoch\n  batch 1\x1b[A\repoch 4\n\n")
    expect(page.get_by_text("epoch 4", exact=True)).to_be_visible()

    gate.write(10, bytes(range(256)) + b"\n")
    gate.write(10, "x" * 10_000_000 + "\nafter the long line\n")
    expect(page.get_by_text("after the long line")).to_be_visible()
    at_end(page)
    assert len(page.locator(".log-lines").text_content() or "") < 20_000
    more = page.locator(".log-more")
    expect(more).to_have_text("show 9,998,000 more characters of this line")
    more.click()
    expect(page.locator(".log-note")).to_contain_text("more characters: download the log for all of it")
    page.get_by_role("button", name="Wrap").click()
    expect(page.locator(".log-lines")).to_have_class("log-lines no-wrap")
    assert not said


def test_a_failed_job_says_why_first(gate: LogGate, url: str, opened: Callable[..., Page]) -> None:
    tried: dict[str, Any] = {"exit_code": 1, "signal": None, "log_removed_at": None, "run_time": 5.0}
    began = time.time() - 900
    gate.attempts[3] = [
        {"attempt": 1, "state": "failed", "cause": "exit", "message": "exit code 1", "started_at": began, **tried},
        {"attempt": 2, "state": "failed", "cause": "out-of-memory", "message": "too big", "started_at": began, **tried},
    ]
    gate.jobs[3] |= {"attempt": 2, "command": ["sh", "-c", "echo it's $HOME\n"], "tags": {"set": "<a>"}, "name": "big"}
    gate.write(3, "the first try\n", attempt=1)
    gate.write(3, "".join(f"line {at}\n" for at in range(60)) + "torch.OutOfMemoryError\n", attempt=2)
    page = opened(f"{url}/?job=3")
    failure = page.locator(".failure")
    expect(failure.locator("h2")).to_have_text("It failed: out of memory")
    expect(failure).to_contain_text("CUDA out of memory: it asked for 2.5 GiB")
    expect(failure.locator("pre")).to_contain_text("torch.OutOfMemoryError")
    tail = failure.locator("pre").text_content() or ""
    assert tail.splitlines()[0] == "line 41", "the last 20 lines"
    expect(page.locator(".job-state .badge")).to_have_text("Failed (out of memory)")

    expect(page.get_by_role("button", name="Shown")).to_have_count(1)
    page.get_by_role("button", name="Show", exact=True).click()
    expect(lines(page).first).to_have_text("the first try")
    page.get_by_label("Attempt whose log is shown").select_option("2")
    expect(page.locator(".log-lines")).to_contain_text("line 59")

    copied = page.locator(".copy code").all_text_contents()
    assert copied[0] == r"sh -c $'echo it\'s $HOME\x0a'"
    assert copied[1].startswith("cd /home/ann/run && trainq-cli submit --name big --tag 'set=<a>' -- sh -c ")
    assert copied[2].endswith(f"{url}/api/training/execute")
    page.get_by_text("Environment").click()
    expect(page.locator(".env")).to_contain_text("HF_TOKEN")

    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator(".job-state .badge")).to_have_text("Queued (position: 6)")
    expect(page.locator(".job-state")).to_contain_text("starts")
    expect(failure).to_be_hidden()
    assert ("/retry/3", {}) in gate.asked
    expect(page.get_by_role("button", name="Hold")).to_be_visible()


def test_metrics_grow_with_the_job(gate: LogGate, url: str, opened: Callable[..., Page]) -> None:
    began = time.time() - 1000
    gate.series[10] = {
        "loss": [[began + at, at * 10, 2.0 / (1 + at / 20)] for at in range(100)],
        "huge": [[began, None, 1e300], [began + 1, None, 1.0000000001e300]],
        "once": [[began, 1, 5.0]],
    }
    page = opened(f"{url}/?job=10")
    expect(page.locator(".metric")).to_have_count(2)  # one point makes no curve
    loss = page.locator(".metric", has_text="loss")
    expect(loss.locator(".chart")).to_have_attribute("aria-label", re.compile(r"^loss: 2 at first, .* now"))
    gate.report(10, step=19_000, fraction=0.95, metrics={"loss": 0.125, "<b>": 1}, message="<b>nearly</b>")
    expect(loss.locator(".chart-latest")).to_have_text("0.125")
    gate.report(10, step=19_500, fraction=0.97, metrics={"loss": 0.12, "<b>": 2})
    expect(page.locator(".chart-name", has_text="<b>")).to_be_visible()
    expect(loss.locator("tr").last).to_contain_text("19500")
    expect(page.locator(".job-bar")).to_have_attribute("aria-valuenow", "97")
    expect(page.locator(".job-progress")).to_contain_text("<b>nearly</b>")


def test_an_unknown_job_is_told_kindly(url: str, opened: Callable[..., Page]) -> None:
    page = opened(f"{url}/?job=999")
    expect(page.locator(".missing")).to_contain_text("There is no job 999. It may have been removed from the history")
    for wanted in ("abc", "-1", "1e9", "%3Cscript%3E"):
        page.goto(f"{url}/?job={wanted}")
        expect(page.locator(".missing")).to_contain_text("is no number of a job")
    page.get_by_role("link", name="Look into the history").click()
    expect(page.get_by_role("heading", name="History")).to_be_visible()
