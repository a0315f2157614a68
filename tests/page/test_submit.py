"""The form: a new job, what is refused beside its field, and copies, retries and edits of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from page.fakejobs import job
from page.test_queue import asked, row, sees
from support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from page.fakequeue import Gate
    from playwright.sync_api import Page

    Opened = Callable[..., Page]


def test_submit_to_badge_to_progress_to_completed(gate: Gate, url: str, opened: Opened) -> None:
    page = opened(url)
    row(page, 20).wait_for()
    page.keyboard.press("n")
    page.get_by_label("Command").fill("python train.py --name 'a b'")
    assert page.locator(".argv code").all_inner_texts() == ["python", "train.py", "--name", "a b"]
    assert page.get_by_label("Folder").input_value() == "/home/ann/run"
    page.get_by_label("Name").fill("fresh one")
    page.get_by_label("Time limit").fill("4h")
    page.get_by_label("Tags").fill("set=a")
    sees(
        page.locator(".same"),
        "trainq-cli submit --name 'fresh one' --cwd /home/ann/run --time-limit 4h --tag set=a -- python",
    )
    page.get_by_role("button", name="Queue it").click()
    sees(page.locator("#toasts"), "is queued (position: 6)")
    [spec] = asked(gate, "/execute")
    assert spec == {
        "command": ["python", "train.py", "--name", "a b"],
        "name": "fresh one",
        "cwd": "/home/ann/run",
        "gpus": 1,
        "priority": "normal",
        "time_limit": 14400,
        "tags": {"set": "a"},
    }
    sees(row(page, 25), "Queued (position: 6)")
    gate.change(25, state="running", started_at=gate.jobs[25]["submitted_at"], gpu_ids=["GPU-fake-0"])
    sees(row(page, 25), "Running")
    gate.report(25, fraction=0.42, step=42, total=100, rate=2.0, eta=29.0)
    sees(row(page, 25), "42 %")
    sees(row(page, 25), "2 steps/s")
    gate.change(25, state="completed", exit_code=0, ended_at=gate.jobs[25]["started_at"] + 60, run_time=60.0)
    sees(row(page, 25), "Completed")


def test_what_is_wrong_stands_beside_its_field(gate: Gate, url: str, opened: Opened) -> None:
    page = opened(f"{url}/?view=submit")
    page.get_by_label("Command").fill("python 'train.py")
    page.get_by_label("GPUs").fill("two")
    page.get_by_role("button", name="Queue it").click()
    sees(page.locator(".f-command"), "is opened and not closed")
    sees(page.locator(".f-gpus"), "A whole number from 0")
    assert page.get_by_label("Command").get_attribute("aria-invalid") == "true"
    assert not gate.asked
    page.get_by_label("Command").fill("python train.py && rm x")
    sees(page.locator("#h-command"), "there is no shell")
    page.get_by_label("GPUs").fill("5000")
    gate.refuse["/execute"] = (400, "bad-request", "Expected `int` <= 1024 - at `$.gpus`")
    page.get_by_role("button", name="Queue it").click()
    sees(page.locator(".f-gpus"), "Expected `int` <= 1024")
    gate.refuse["/execute"] = (429, "limit", "1000 jobs wait, and no more may")
    page.get_by_role("button", name="Queue it").click()
    sees(page.get_by_role("alert"), "1000 jobs wait, and no more may")
    [first, again] = gate.keys
    assert first == again, "the same form: it adds one job at most, however often it is sent"
    assert first
    gate.refuse.clear()
    page.get_by_text("More fields, as JSON").click()
    page.locator("#f-more").fill("[")
    page.get_by_role("button", name="Queue it").click()
    sees(page.locator(".f-more"), "No JSON")


def test_a_job_is_retried_copied_and_edited_with_what_has_changed(gate: Gate, url: str, opened: Opened) -> None:
    gate.add(job(60, name="to edit", tags={"a": "1"}, grace=60.0))
    page = opened(f"{url}/?view=submit&edit=60")
    name = page.get_by_label("Name", exact=True)
    page.wait_for_function("() => document.querySelector('#f-name')?.value === 'to edit'")
    assert '"grace": 60' in page.locator("#f-more").input_value()
    page.get_by_label("GPUs").fill("0")
    page.get_by_label("Tags").fill("")
    page.get_by_role("button", name="Save").click()
    sees(page.locator("#toasts"), "Job 60 is changed")
    assert asked(gate, "/edit/60") == [{"set": {"gpus": 0, "tags": {}}}]
    sees(row(page, 60), "no GPU")
    page.get_by_label("More actions: job 3", exact=True).click()
    page.get_by_role("button", name="Retry with edits …", exact=True).click()
    page.wait_for_function("() => document.querySelector('#f-command')?.value === 'python train.py --lr 3e-5'")
    page.get_by_label("GPU memory").fill("8GiB")
    page.get_by_role("button", name="Retry it").click()
    sees(page.locator("#toasts"), "Job 3 is queued")
    wait_until(lambda: asked(gate, "/retry/3") == [{"set": {"gpu_memory": 8 * 2**30}}])
    page.goto(f"{url}/?view=submit&copy=1")
    page.wait_for_function("() => document.querySelector('#f-command')?.value")
    name.fill("again")
    page.get_by_role("button", name="Queue the copy").click()
    sees(page.locator("#toasts"), "Job 25 is queued")
    [copied] = asked(gate, "/copy/1")
    assert len(copied.pop("key")) == 32
    assert copied == {"set": {"name": "again"}}
    page.goto(f"{url}/?view=submit&edit=999")
    sees(page.get_by_role("alert"), "No such job")
