"""The queue on screen: what one sees, does and is told, with mouse, keyboard and drag. Against the fake gateway."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from page.conftest import NARROW
from page.fakejobs import job, running
from support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from page.fakequeue import Gate
    from playwright.sync_api import Locator, Page

    Opened = Callable[..., Page]


def row(page: Page, number: int) -> Locator:
    return page.locator(f'.row[data-id="{number}"]')


def sees(where: Page | Locator, text: str) -> None:
    """Waits until it stands there."""
    where.get_by_text(text, exact=False).first.wait_for()


def order(page: Page, section: str = "line") -> list[int]:
    ids = page.locator(f".jobs.{section} .rows .row").evaluate_all(
        "nodes => nodes.map((node) => Number(node.dataset.id))"
    )
    return [int(number) for number in ids]


def until_order(page: Page, *wanted: int) -> None:
    page.wait_for_function(
        "wanted => wanted === [...document.querySelectorAll('.jobs.line .rows .row')].map((n) => n.dataset.id).join()",
        arg=",".join(map(str, wanted)),
    )


def asked(gate: Gate, path: str) -> list[Any]:
    return [body for found, body in gate.asked if found == path]


def test_steps_that_have_parts_read_as_numbers(gate: Gate, opened: Opened, url: str) -> None:
    told: dict[str, Any] = {
        "fraction": 1 / 15,
        "rate": None,
        "eta": None,
        "metrics": {},
        "message": None,
        "updated_at": 0.0,
    }
    gate.jobs[10]["progress"] = {**told, "step": 1 / 3, "total": 5}
    page = opened(url)
    sees(row(page, 10), "0.333 / 5")
    sees(row(page, 11), " / 20,000")


def test_a_glance_shows_what_runs_waits_and_failed(gate: Gate, url: str, opened: Opened) -> None:
    gate.add(job(40, why="after job 3, which runs", why_code="dependency"))
    gate.jobs[40].update(why="waits for job 11", why_code="dependency", waits_for=[11])
    page = opened(url)
    sees(row(page, 21), "Queued (position: 2)")
    sees(row(page, 21), "starts in 15 min to 35 min")
    sees(row(page, 10), "loss ")
    sees(row(page, 10), "GPU 0")
    assert re.search(r"20 % · about 5 h 35 left", row(page, 10).inner_text())
    assert row(page, 10).get_by_role("progressbar").get_attribute("aria-valuenow") == "20"
    sees(row(page, 3), "CUDA out of memory: it asked for 2.5 GiB")
    sees(row(page, 3), "Failed (out of memory)")
    sees(page.locator("#summary"), "4 jobs running · 6 waiting · 0 of 4 GPUs free")
    sees(page.locator("#live"), "live")
    assert page.title().startswith("4 running, 6 waiting")
    gate.report(10, fraction=0.5, step=10_000, metrics={"loss": 0.125})
    sees(row(page, 10), "50 %")
    sees(row(page, 10), "loss 0.125")
    gate.change(10, state="completed", ended_at=gate.jobs[10]["started_at"] + 5000, exit_code=0)
    sees(page.locator(".jobs.recent"), "resnet sweep 10")
    sees(row(page, 10), "Completed")
    assert order(page, "running") == [11, 12, 13]


def drag(page: Page, number: int, over: int) -> None:
    """To the place before that one."""
    box = row(page, number).locator(".grip").bounding_box()
    assert box
    page.mouse.move(box["x"] + 5, box["y"] + 8)
    page.mouse.down()
    goal = row(page, over).bounding_box()
    assert goal
    page.mouse.move(goal["x"] + 50, goal["y"] + 4, steps=4)
    page.locator(".drop-mark").wait_for()
    page.mouse.up()


def test_jobs_are_moved_by_button_keyboard_and_drag(gate: Gate, url: str, opened: Opened) -> None:
    page = opened(url)
    until_order(page, 20, 21, 22, 23, 24)
    page.get_by_label("Move up: job 22", exact=True).click()
    until_order(page, 20, 22, 21, 23, 24)
    sees(page.locator("#toasts"), "Job 22 is at position 2 now")
    row(page, 20).focus()
    page.keyboard.press("Alt+ArrowUp")
    sees(page.locator("#toasts"), "Job 20 is the first of the line already")
    wait_until(lambda: gate.line == [20, 22, 21, 23, 24])
    row(page, 24).focus()
    for key in ("Alt+ArrowUp", "Alt+ArrowUp", "Alt+Home", "Alt+ArrowDown"):
        page.keyboard.press(key)
    until_order(page, 20, 24, 22, 21, 23)
    wait_until(lambda: gate.line == [20, 24, 22, 21, 23])
    assert page.evaluate("document.activeElement.dataset.id") == "24", "the focus goes along"
    drag(page, 23, 24)
    until_order(page, 20, 23, 24, 22, 21)
    wait_until(lambda: gate.line == [20, 23, 24, 22, 21])
    gate.refuse["/move/21"] = (409, "conflict", "job 21 does not wait any more")
    page.get_by_label("Move up: job 21", exact=True).click()
    sees(page.locator("#toasts"), "Not moved: job 21 does not wait any more")
    del gate.refuse["/move/21"]
    until_order(page, 20, 23, 24, 22, 21)
    page.get_by_label("Select job 22", exact=True).check()
    page.get_by_label("Select job 21", exact=True).check()
    page.locator(".bulk").get_by_role("button", name="To the front").click()
    until_order(page, 22, 21, 20, 23, 24)
    page.locator(".bulk").get_by_role("button", name="Clear").click()
    gate.change(24, hold=True)
    sees(row(page, 24), "Held")
    page.get_by_label("Move down: job 20", exact=True).click()  # nobody can stand before one that is held
    until_order(page, 22, 21, 23, 20, 24)
    wait_until(lambda: gate.line == [22, 21, 23, 20, 24])
    sees(page.locator("#toasts"), "Job 20 is at position 4 now")
    drag(page, 21, 24)
    until_order(page, 22, 23, 20, 21, 24)
    wait_until(lambda: [*asked(gate, "/move/20"), *asked(gate, "/move/21")[-1:]] == [{"to": "back"}] * 2)


def test_who_stands_in_no_line_takes_no_step_in_it(gate: Gate, url: str, opened: Opened) -> None:
    page = opened(url)
    gate.change(24, hold=True)
    gate.change(23, hold=True)
    sees(row(page, 23), "Held")
    sees(row(page, 24), "Held")
    row(page, 23).focus()
    page.keyboard.press("Alt+ArrowUp")
    sees(page.locator("#toasts"), "Job 23 stands in no line now")
    assert page.get_by_label("Move up: job 23", exact=True).get_attribute("aria-disabled") == "true"
    drag(page, 23, 21)
    page.keyboard.press("Alt+Home")
    sees(page.locator("#toasts"), "Moved job 23")
    assert [path for path, _ in gate.asked if path.startswith("/move")] == ["/move/23"]
    assert asked(gate, "/move/23") == [{"to": "front"}]


def test_a_cancel_that_nobody_answers_says_that_the_job_is_held(gate: Gate, url: str, opened: Opened) -> None:
    page = opened(url)
    page.clock.install()
    gate.refuse["/cancel/21"] = (503, "unavailable", "no daemon answers; nothing was changed")
    page.get_by_label("Cancel: job 21", exact=True).click()
    wait_until(lambda: gate.jobs[21]["hold"])
    page.clock.run_for(7000)
    sees(page.locator("#toasts"), "Held and not cancelled: job 21. no daemon answers")
    del gate.refuse["/cancel/21"]
    page.get_by_role("button", name="Cancel again").click()
    page.clock.run_for(7000)
    wait_until(lambda: gate.jobs[21]["state"] == "cancelled")


def test_cancelling_can_be_undone_and_running_jobs_are_asked_about(gate: Gate, url: str, opened: Opened) -> None:
    page = opened(url)
    page.get_by_label("Cancel: job 21", exact=True).click()
    sees(row(page, 21), "Cancelling …")
    wait_until(lambda: gate.jobs[21]["hold"])
    page.get_by_role("link", name="GPUs").click()  # the way back is open wherever one goes
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: not gate.jobs[21]["hold"])
    page.get_by_role("link", name="Queue").click()
    until_order(page, 20, 22, 23, 24, 21)
    sees(row(page, 21), "Queued (position: 5)")
    assert not asked(gate, "/cancel/21")
    page.get_by_label("Cancel: job 10", exact=True).click()
    dialog = page.get_by_role("dialog")
    sees(dialog, "asked to stop (SIGTERM)")
    dialog.get_by_role("button", name="Let it run").click()
    assert not asked(gate, "/cancel/10")
    page.get_by_label("Cancel: job 10", exact=True).click()
    dialog.get_by_role("button", name="Cancel the job").click()
    sees(page.locator("#toasts"), "Asked to stop: job 10")
    sees(row(page, 10), "Cancelled")
    row(page, 23).focus()
    page.keyboard.press("c")
    sees(row(page, 23), "Cancelling …")
    wait_until(lambda: gate.jobs[23]["hold"])
    page.goto("about:blank")  # who leaves has meant it
    wait_until(lambda: gate.jobs[23]["state"] == "cancelled")
    again = opened(url)
    again.get_by_label("Retry: job 23", exact=True).click()
    sees(row(again, 23), "Queued (position:")
    again.clock.install()
    again.get_by_label("Cancel: job 22", exact=True).click()
    wait_until(lambda: gate.jobs[22]["hold"])
    again.clock.run_for(7000)
    sees(again.locator(".jobs.recent"), "resnet sweep 22")
    assert asked(gate, "/cancel/22")


def test_filter_and_order_stand_in_the_address(gate: Gate, url: str, opened: Opened) -> None:
    gate.add(job(41, name="tuning a", priority="high", tags={"lr": "0.1"}), job(42, name="tuning b", hold=True))
    page = opened(url)
    until_order(page, 20, 21, 22, 23, 24, 41, 42)
    page.keyboard.press("/")
    page.keyboard.type("tuning")
    until_order(page, 41, 42)
    assert page.url.endswith("?q=tuning")
    page.keyboard.type(" held")
    until_order(page, 42)
    page.keyboard.press("Escape")
    until_order(page, 20, 21, 22, 23, 24, 41, 42)
    page.get_by_label("Order of the waiting jobs").select_option("priority")
    assert order(page)[0] == 41
    assert not row(page, 41).locator(".grip").is_visible()
    link = opened(f"{url}/?q=lr%3D0.1&sort=name")
    until_order(link, 41)
    sees(link.locator(".jobs.line h2"), "1 of 7")
    assert link.get_by_label("Filter jobs").input_value() == "lr=0.1"
    link.get_by_label("Filter jobs").fill("nobody has this")
    sees(link.locator(".jobs.line"), "Nothing here fits the filter.")


def test_what_must_not_be_missed_stands_on_top(gate: Gate, url: str, opened: Opened) -> None:
    page = opened(url)
    banners = page.locator("#banners")
    page.get_by_role("button", name="Pause").click()
    sees(banners, "nothing is started; what runs, runs on")
    gate.set_head(pause_reason="3 jobs failed within a minute of their start, the last one job 12")
    sees(banners, "3 jobs failed within a minute of their start")
    banners.get_by_role("button", name="Resume").click()
    banners.get_by_text("Paused").wait_for(state="detached")
    page.get_by_role("button", name="Drain").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain").click()
    sees(banners, "the daemon leaves when the last running job has ended")
    page.get_by_role("button", name="Resume").first.click()
    banners.get_by_text("Draining").wait_for(state="detached")
    gate.disconnect()
    sees(banners, "No daemon answers")
    sees(page.locator("#live"), "no daemon")
    gate.restart()
    sees(banners, "9 jobs kept")
    banners.get_by_role("button", name="Dismiss").click()
    page.route("**/events*", lambda route: route.abort())
    gate.drop()
    sees(banners, "Showing the state of")
    sees(page.locator("#live"), "stale since")
    banners.get_by_role("button", name="Try now").click()
    page.unroute("**/events*")
    banners.get_by_text("Showing the state of").wait_for(state="detached")
    sees(page.locator("#live"), "live")


def test_menu_selection_and_keys(gate: Gate, url: str, opened: Opened) -> None:
    page = opened(url, permissions=["clipboard-read", "clipboard-write"])
    row(page, 20).wait_for()
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.dataset.id") == "11"
    page.keyboard.press("m")
    menu = page.get_by_role("dialog")
    menu.get_by_role("button", name="Suspend", exact=True).wait_for()
    menu.get_by_label("Suspend: copy the command line").click()
    sees(page.locator("#toasts"), "trainq-cli suspend 11")
    assert page.evaluate("navigator.clipboard.readText()") == "trainq-cli suspend 11"
    page.get_by_label("More actions: job 11", exact=True).click()
    menu.get_by_role("button", name="Suspend", exact=True).click()
    sees(row(page, 11), "Suspended")
    page.get_by_label("Select job 20", exact=True).check()
    page.get_by_label("Select job 22", exact=True).click(modifiers=["Shift"])
    bulk = page.locator(".bulk")
    sees(bulk, "3 jobs selected")
    bulk.get_by_role("button", name="Hold").click()
    sees(page.locator("#said"), "Held 3 jobs")
    assert asked(gate, "/hold") == [{"jobs": [20, 21, 22]}]
    bulk.get_by_role("button", name="Priority …").click()
    page.get_by_role("dialog").get_by_role("button", name="high").click()
    sees(page.locator("#toasts"), "Priority high: 3 jobs")
    page.keyboard.press("Escape")
    bulk.wait_for(state="hidden")
    page.keyboard.press("?")
    sees(page.get_by_role("dialog"), "move a waiting job up, down")
    page.keyboard.press("Escape")
    page.get_by_label("Theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    row(page, 20).wait_for()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_all_that_the_queue_needs_is_asked_for_at_once(url: str, opened: Opened) -> None:
    """A module that is found out about only when another one has come costs a way to the server and back."""
    page = opened(url)
    row(page, 20).wait_for()
    loaded = page.evaluate("() => performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname)")
    html = page.request.get(url).text()
    assert [name for name in loaded if name.endswith(".js") and f'"{name}"' not in html] == []


def test_of_a_list_that_is_out_of_sight_no_row_is_made(opened: Opened, gate: Gate, url: str) -> None:
    gate.add(*(running(number, 0) for number in range(5000, 5040)), *(job(number) for number in range(100, 400)))
    page = opened(url)
    sees(page, "Waiting")
    row(page, 5000).wait_for()
    assert order(page) == []
    page.locator(".jobs.line h2").scroll_into_view_if_needed()
    page.evaluate("scrollBy(0, 300)")
    row(page, 20).wait_for()
    assert len(order(page)) < 60


def test_five_thousand_jobs_scroll(opened: Opened, gate: Gate, url: str) -> None:
    gate.add(*(job(number) for number in range(1000, 6000)))
    page = opened(url)
    sees(page.locator(".jobs.line h2"), "5005")
    assert page.locator(".row").count() < 60
    assert page.get_by_role("table").nth(1).get_attribute("aria-rowcount") == "5006"
    page.keyboard.press("End")
    row(page, 5990).wait_for()
    row(page, 5990).focus()
    index = int(row(page, 5990).get_attribute("aria-rowindex") or 0)
    page.evaluate("scrollTo(0, 0)")
    row(page, 20).wait_for()
    assert page.evaluate("document.activeElement.dataset.id") == "5990", "a keyboard does not fall out of the list"
    assert index == 4997
    page.keyboard.press("Alt+Home")
    page.wait_for_function("() => document.querySelector('.jobs.line .rows .row').dataset.id === '5990'")
    sees(row(page, 5990), "Queued (position: 1)")


HOSTILE = [
    "<script>document.title = 'broken'</script><img src=x onerror=\"document.title='broken'\">",
    "right \u202eto left\u202c \u2066and\u2069 back",
    "🔥" * 30 + "\x1b[31mred\x07\r\n",
    "x" * 10_240,
    "שלום עולם " * 40,
    "",
]


HIGHER = """number => {
    const row = document.querySelector(`.row[data-id="${number}"]`);
    return row ? row.scrollHeight - row.clientHeight : 0;
}"""


def test_hostile_names_are_text_and_break_nothing(gate: Gate, url: str, opened: Opened) -> None:
    for at, name in enumerate(HOSTILE):
        gate.add(job(50 + at, name=name, tags={name: name}, command=[name or "true", name], user=name))
    gate.change(1, message=HOSTILE[0] + HOSTILE[3])
    gate.change(10, progress={"fraction": 7, "metrics": {HOSTILE[0]: 1e99}, "message": HOSTILE[1]})
    gate.set_head(paused=True, pause_reason=HOSTILE[0])
    for size in ({"width": 1280, "height": 1400}, NARROW):
        page = opened(url, size=size)
        row(page, 20).wait_for()
        page.evaluate("scrollTo(0, 800)")
        row(page, 50).wait_for()
        sees(row(page, 50), "<script>document.title")
        assert page.evaluate("document.querySelectorAll('main img, main script').length") == 0
        assert "broken" not in page.title()
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        for number in (50, 52, 53, 54):
            high = page.evaluate(HIGHER, number)
            assert high <= 0, f"job {number} is higher than its row"
        assert "\u202e" not in page.inner_text("main")
