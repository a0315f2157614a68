"""Which of many counters counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scan.playing import Log, bar, play

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_bar_of_all_steps_is_not_one_of_an_epoch() -> None:
    """Kohya: it begins before the first epoch, and goes on from one to the next."""
    log = Log()
    log.say(bar("steps", 0, 200, 0) + "\nepoch 1/2\n")
    for step in range(1, 201):
        log.say(bar("steps", step, 200, log.now, ", avr_loss=0.103"), 0.2)
        if step == 100:
            log.say("\nepoch 2/2\n")
    maps = play(log.rows)
    assert {each["total"] for each in maps} == {200}
    assert all(each["fraction"] == each["step"] / 200 for each in maps)
    assert maps[-1]["metrics"] == {"avr_loss": 0.103}


def test_one_that_goes_on_over_two_epochs_counts_them_all() -> None:
    log = Log()
    log.say("Epoch 1/4\n")
    for step in range(1, 201):
        log.say(bar("", step, 200, log.now + 0.1), 0.2)
        if step % 50 == 0 and step < 200:
            log.say(f"\nEpoch {step // 50 + 1}/4\n")
    maps = play(log.rows)
    late = [each for each in maps if each["updated_at"] > 12]
    assert {each["total"] for each in late} == {200}
    assert all(each["fraction"] == each["step"] / 200 for each in late)


def test_a_summary_behind_each_epoch_is_one_epoch_more() -> None:
    log = Log()
    for number in range(1, 11):
        log.say("", 1.0)
        log.say(f"Epoch {number}/10 train_loss=0.3 val_loss=0.4\n")
    maps = play(log.rows)
    assert [each["step"] for each in maps] == [*range(1, 11)]
    assert maps[4]["eta"] == pytest.approx(5.0, abs=0.6)


def test_a_headline_before_each_epoch_is_none_more_and_the_last_one_ends_well() -> None:
    log = Log()
    for number in range(1, 4):
        log.say(f"Epoch {number}/3\n", 2.0)
    assert [each["step"] for each in play(log.rows)] == [0, 1, 2, 3]
    assert play(log.rows, well=False)[-1]["step"] == 2


def test_folds_of_epochs_of_batches() -> None:
    log = Log()
    for fold in range(1, 4):
        log.say(f"Fold {fold}/3\n")
        for number in range(1, 4):
            log.run(f"Epoch {number}/3", 30, 4)
            log.say(f"Epoch {number}/3 train_loss: 0.4 val_loss: 0.5\n")
    maps = play(log.rows)
    assert maps[len(maps) // 2]["fraction"] == pytest.approx(0.5, abs=0.05)
    assert maps[-1]["fraction"] == 1


def test_bars_of_several_processes_are_one() -> None:
    log = Log()
    for step in range(201):
        for ahead in (0, -1, 1):
            log.say(bar("", min(200, max(0, step + ahead)), 200, log.now))
        log.say("", 0.1)
    maps = play(log.rows)
    assert maps[-1]["fraction"] == 1
    assert all(each["total"] == 200 for each in maps)


def test_one_that_runs_again_and_again_says_no_fraction_unless_its_command_does() -> None:
    log = Log()
    for _ in range(3):
        log.run("", 100, 10)
    maps = play(log.rows)
    assert {each["fraction"] for each in maps if each["updated_at"] > 11} == {None}
    assert maps[-1]["message"] == "run 3, 100 of 100"
    known = play(log.rows, "python", "train.py", "--epochs", "3")
    assert known[len(known) // 2]["fraction"] == pytest.approx(0.5, abs=0.05)
    assert (known[-1]["step"], known[-1]["total"]) == (300, 300)


def test_what_is_over_in_a_moment_or_shorter_than_what_comes_does_not_count() -> None:
    log = Log()
    log.run("", 30, 2)  # files that are read
    log.run("", 300, 60, ", loss=0.3")
    log.run("final", 20, 4)
    maps = play(log.rows)
    assert {each["total"] for each in maps if each["total"]} == {300}
    assert [each["fraction"] for each in maps if each["updated_at"] > 63] == [1.0] * len(
        [each for each in maps if each["updated_at"] > 63]
    )


def test_a_long_preparation_makes_the_fraction_unknown_and_not_go_back() -> None:
    log = Log()
    log.run("", 30, 10)
    log.run("", 300, 60)
    maps = play(log.rows)
    late = [each for each in maps if 30 < each["updated_at"] < 60]
    assert {(each["total"], each["fraction"]) for each in late} == {(300, None)}
    assert late[-1]["eta"] == pytest.approx(70 - late[-1]["updated_at"], abs=2)


def test_one_that_was_left_in_the_middle_gives_way() -> None:
    log = Log()
    for step in range(8):
        log.say(bar("search", step, 10, log.now), 1.0)
    log.say("\n")
    log.run("", 1000, 400)
    assert play(log.rows)[-1]["total"] == 1000


def test_a_job_that_is_short_shows_its_end() -> None:
    log = Log()
    log.run("", 10, 1)
    assert [each["fraction"] for each in play(log.rows)][-1] == 1.0


def test_nanogpt_has_no_total_but_its_command_may() -> None:
    log = Log()
    log.say("step 0: train loss 10.9882, val loss 10.9743\n")
    for number in range(200):
        log.say(f"iter {number}: loss {5 - number / 100:.4f}, time 120.33ms, mfu 3.20%\n", 0.5)
    maps = play(log.rows)
    assert (maps[-1]["step"], maps[-1]["total"], maps[-1]["fraction"]) == (199, None, None)
    assert maps[-1]["rate"] == pytest.approx(2.0)
    assert maps[-1]["metrics"] == {"train_loss": 10.9882, "val_loss": 10.9743, "loss": 3.01, "mfu": 3.2}
    known = play(log.rows, "python", "train.py", "--max_iters=200")
    assert known[100]["eta"] == pytest.approx((200 - known[100]["step"]) / 2)


@pytest.mark.parametrize(
    "form", ["step {0}/300 loss 0.4", "[{0}/300]", "Iteration {0}/300", "it: {0}/300, step {0}/300"]
)
def test_counts_in_words(form: str) -> None:
    log = Log()
    for step in range(1, 301):
        log.say(f"2026-11-25 12:00:01,123 - INFO - {form.format(step)}\n", 0.1)
    maps = play(log.rows)
    assert maps[len(maps) // 2]["fraction"] == pytest.approx(0.5, abs=0.05)
    assert maps[-1]["fraction"] == 1


def test_lines_of_a_build_do_not_count() -> None:
    log = Log()
    for step in range(1, 4):
        log.say(f"Step {step}/3 : FROM python\n", 1.0)
    log.run("", 300, 60)
    assert {each["total"] for each in play(log.rows)} == {300}


@pytest.mark.parametrize("first", ["", "Training"])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_bar_whose_description_changes_is_one_bar(first: str, at_once: bool) -> None:  # noqa: FBT001
    log = Log()
    log.say(bar(first, 0, 300, 0))
    for step in range(0 if at_once else 1, 301):
        log.say(bar(f"loss {9 / (step + 1):.2f}", step, 300, log.now), 0.05)
        if step % 100 == 50:
            log.say(bar(f"best {step}, file {'abc'[step // 100]}", step, 300, log.now))
    maps = play(log.rows)
    assert {each["total"] for each in maps} == {300}
    assert maps[len(maps) // 2]["fraction"] == pytest.approx(0.5, abs=0.05)
    assert maps[len(maps) // 2]["rate"] == pytest.approx(20, rel=0.1)
    assert maps[-1]["fraction"] == 1


def rich_bar(name: str, step: int, total: int) -> str:
    return f"\r{name}  {100 * step // total}% ━━━━╸─── {step}/{total} 4.3it/s".replace("─", "━")


def tqdm_bar(name: str, step: int, total: int) -> str:
    return bar(name, step, total, 1.0)


@pytest.mark.parametrize("drawn", [tqdm_bar, rich_bar])
@pytest.mark.parametrize("form", ["      {0}/{1}      2.1G     1.186        640", "Epoch {0}/{1}"])
@pytest.mark.parametrize("zero", [0, 1])
def test_epochs_in_the_names_of_bars(form: str, drawn: Callable[[str, int, int], str], zero: int) -> None:
    """Of 5 epochs, counted from 1 or from 0, at 10 % of the third."""
    log = Log()
    for number in range(3):
        for step in range(0, 101 if number < 2 else 11, 2):
            log.say(drawn(form.format(number + zero, 4 + zero), step, 100), 0.1)
        log.say("\n")
    shown = play(log.rows, well=False)[-1]
    assert (shown["message"], shown["fraction"]) == ("epoch 3 of 5", pytest.approx(0.42))


def test_of_epochs_without_end_the_one_under_way_is_told() -> None:
    log = Log()
    for number in range(1, 4):
        for step in range(1, 101 if number < 3 else 46):
            log.say(bar(f"Epoch {number}", step, 100, step / 10), 0.1)
        log.say("\n")
    shown = play(log.rows, well=False)[-1]
    assert [shown[name] for name in ("step", "total", "fraction", "message", "eta")] == [45, 100, None, "epoch 3", None]
    assert shown["rate"] == pytest.approx(10, rel=0.1)
