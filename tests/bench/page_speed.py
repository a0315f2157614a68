"""How fast the page is, in headless Chromium: its first row of 1,000 jobs, frames while much changes, event to screen.

`python tests/bench/all.py page_speed`. The first three are the page alone, on the fake gateway of its tests (which
sends 500 events a second, where the real one would merge them into ten); the others have the real daemon and gateway.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bench.shared import Row, p90, serving, show, spec
from page import chromium
from page.fakegate import serving as faking
from page.fakejobs import job, running
from page.fakequeue import Gate
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Generator

    from playwright.sync_api import Browser, Page

JOBS, LOADS, SECONDS, CHANGES, HOLDS = 1_000, 7, 5.0, 500, 40
FIRST_ROW = """() => new Promise((done) => {
    const there = () => document.querySelector('.jobs.line .row[data-id]');
    const look = () => (there() ? done(performance.now()) : requestAnimationFrame(look));
    look();
})"""
FRAMES = """(seconds) => new Promise((done) => {
    const times = [performance.now()];
    const tick = (at) => {
        times.push(at);
        if (at - times[0] < 1000 * seconds) requestAnimationFrame(tick);
        else done(times);
    };
    requestAnimationFrame(tick);
})"""
WATCH = """() => {
    window.seen = [];
    const badge = () => document.querySelector('.row[data-id="2"] .badge')?.textContent ?? '';
    let last = badge();
    new MutationObserver(() => {
        if (badge() === last) return;
        last = badge();
        window.seen.push(Date.now() / 1000);
    }).observe(document.querySelector('main'), { subtree: true, childList: true, characterData: true });
}"""


def first_row(browser: Browser, url: str) -> float:
    """Milliseconds from the navigation to the first waiting row; a fresh window each time, nothing cached."""
    window = browser.new_context(viewport={"width": 1280, "height": 800})
    page = window.new_page()
    page.goto(url, wait_until="commit")
    found = float(page.evaluate(FIRST_ROW))
    window.close()
    return found


def frames(page: Page, gate: Gate, per_second: int) -> tuple[float, float]:
    """Frames a second, and the longest of them in milliseconds."""
    numbers = [number for number, one in gate.jobs.items() if one["state"] == "running"]
    leave = threading.Event()

    def stir() -> None:
        at, began = 0, time.monotonic()
        while not leave.is_set():
            while at < (time.monotonic() - began) * per_second:
                gate.report(
                    numbers[at % len(numbers)], fraction=at % 997 / 997, step=at, metrics={"loss": 1 / (at + 1)}
                )
                at += 1
            leave.wait(0.002)

    thread = threading.Thread(target=stir)
    thread.start()
    times: list[float] = page.evaluate(FRAMES, SECONDS)
    leave.set()
    thread.join()
    gaps = [after - before for before, after in pairwise(times)]
    return 1000 * len(gaps) / (times[-1] - times[0]), max(gaps)


def alone(browser: Browser) -> list[Row]:
    gate = Gate(waiting=JOBS)
    with faking(gate) as url:
        loads = [first_row(browser, url) for _ in range(LOADS)]
        gate.add(*(job(number) for number in range(10_000, 14_000)))
        many = [first_row(browser, url) for _ in range(LOADS)]
    gate = Gate(waiting=JOBS)
    gate.add(*(running(number, 0) for number in range(5000, 5020)))  # they fill the window
    with faking(gate) as url:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(url)
        page.locator(".jobs.running .row[data-id]").first.wait_for()
        idle, _ = frames(page, gate, 0)
        rate, longest = frames(page, gate, CHANGES)
        page.close()
    return [
        Row(f"first row of {JOBS} jobs: median", statistics.median(loads), "ms", 400.0),
        Row("first row of 5,000 jobs: median", statistics.median(many), "ms"),
        Row(f"frames a second at {CHANGES} changes/s", rate, "", 50.0, idle, more=True),
        Row("the longest frame then", longest, "ms"),
    ]


@contextmanager
def gateway(env: dict[str, str]) -> Generator[str, None, None]:
    command = [sys.executable, "-m", "trainqueue.cli", "web", "--port", "0", "--json"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield json.loads(process.stdout.readline())["url"]
        process.terminate()


def whole(browser: Browser) -> list[Row]:
    """The first row, and from the moment a client sends `hold` or `release` to the badge that says so."""
    with serving() as server:
        server.client.call("pause")
        server.client.submit([spec("true", name=f"job {at}") for at in range(JOBS)])
        with gateway(server.env) as url:
            loads = [first_row(browser, url) for _ in range(LOADS)]
            page = browser.new_page()
            page.goto(url)
            page.locator('.row[data-id="2"]').wait_for()
            page.evaluate(WATCH)
            asked: list[float] = []
            for at in range(HOLDS):
                asked.append(time.time())
                server.client.call("release" if at % 2 else "hold", jobs=[2])
                page.wait_for_function("count => window.seen.length > count", arg=at)
                page.wait_for_timeout(150)  # its stream rests for 100 ms after each delta
            seen: list[Any] = page.evaluate("window.seen")
            page.close()
    took = [1000 * (there - sent) for sent, there in zip(asked, seen, strict=False)]
    return [
        Row(f"first row of {JOBS} jobs, real gateway: median", statistics.median(loads), "ms", 400.0),
        Row("a client's request to its badge: median", statistics.median(took), "ms", 50.0),
        Row("a client's request to its badge: p90", p90(took), "ms"),
    ]


def main() -> None:
    program = chromium.program()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        rows = [*alone(browser), *whole(browser)]
        browser.close()
    show("page_speed", "frames a second while nothing changes", rows)


if __name__ == "__main__":
    main()
