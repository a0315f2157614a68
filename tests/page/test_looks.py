"""How the page looks: axe finds nothing to complain of, nothing is wider than the window, pictures are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from page.conftest import NARROW, WIDE
from page.fakejobs import job
from page.test_queue import row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from page.fakequeue import Gate
    from playwright.sync_api import Page

    Opened = Callable[..., Page]


@pytest.fixture(scope="session")
def axe() -> str:
    """The checker's script, as its package brings it along; run by the driver, so the page's policy holds."""
    base: Any = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    return str(base.Axe().axe_script)


def complaints(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {node['html'][:150]}" for one in found["violations"] for node in one["nodes"]]


@pytest.mark.parametrize(("size", "theme"), [(WIDE, "light"), (NARROW, "dark")], ids=["wide", "narrow"])
def test_axe_is_content_and_nothing_is_too_wide(
    gate: Gate, url: str, opened: Opened, axe: str, pictures: Path, size: Any, theme: str
) -> None:
    gate.add(job(60, hold=True, priority="high", lane="debug", tags={"set": "a"}))
    gate.change(11, suspended=True)
    gate.set_head(paused=True, paused_since=gate.started, pause_reason="3 jobs failed within a minute of their start")
    page = opened(url, size=size, theme=theme)

    def look(name: str) -> None:
        picture = page.screenshot()  # given a path it would leave a thread behind that writes files
        (pictures / f"{name}-{size['width']}-{theme}.png").write_bytes(picture)
        assert complaints(page, axe) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], name

    row(page, 10).wait_for()
    look("queue")
    page.get_by_label("Select job 11", exact=True).check()
    page.get_by_label("More actions: job 11", exact=True).click()
    look("menu")
    page.get_by_role("button", name="Kill now", exact=True).click()
    look("question")
    page.get_by_role("button", name="Leave it").click()
    page.goto(f"{url}/?view=submit&copy=2")
    page.wait_for_function("() => document.querySelector('#f-command')?.value")
    page.get_by_label("GPUs").fill("two")
    page.get_by_role("button", name="Queue the copy").click()
    look("submit")
