"""One browser for all tests of the page; each test has a window of its own, in which no script may fail."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import PREFIX
from page import chromium
from page.fakegate import serving
from page.fakequeue import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from playwright.sync_api import Browser, Page
    from support import Daemon

WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 400, "height": 860}
SHOTS = "TRAINQ_TEST_SCREENSHOTS"
"""A folder for the pictures that tests take; without it they go with the test's own folder."""


@pytest.fixture(scope="session")
def browser() -> Generator[Browser, None, None]:
    """Started before the first test looks at what it leaves behind, so its pipe and its driver count for no test."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `test`)")
    program = chromium.program()
    if program is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt install chromium-headless-shell)")
    rooted = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=[*rooted, "--disable-dev-shm-usage"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Browser) -> Generator[Callable[..., Page], None, None]:
    """`opened(url, size=NARROW, theme="dark")`: a window there. A script that fails in any of them fails the test."""
    windows: list[Any] = []
    wrong: list[str] = []

    def open_window(url: str, *, size: Any = WIDE, theme: Any = "light", **options: Any) -> Page:
        window = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce", **options)
        window.set_default_timeout(10_000)
        windows.append(window)
        page = window.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if "Content Security" in line.text else None)
        page.goto(url)
        return page

    yield open_window
    for window in windows:
        window.close()
    assert not wrong


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def url(gate: Gate) -> Generator[str, None, None]:
    with serving(gate) as found:
        yield found


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get(SHOTS) or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Web:
    """`trainq-cli web` of a daemon's home, as a process."""

    def __init__(self, daemon: Daemon) -> None:
        env = {**daemon.env, "TRAINQ_HOME": str(daemon.home.path)}
        command = [*PREFIX, "web", "--port", "0", "--json"]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.url = str(json.loads(self.process.stdout.readline())["url"]).rstrip("/")

    def stop(self) -> int:
        self.process.terminate()
        if self.process.stdout:
            self.process.stdout.close()
        return self.process.wait(20)


@pytest.fixture
def web(daemon: Daemon) -> Generator[Web, None, None]:
    pytest.importorskip("starlette", reason="the gateway needs the extra `web`")
    served = Web(daemon)
    yield served
    served.stop()
