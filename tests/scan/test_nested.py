"""Counts within counts, and bars that change: what a person would say of them at each moment."""

from __future__ import annotations

import pytest
from scan.playing import Log, bar, play


@pytest.mark.parametrize("summary", ["", "[{0:03d}/005] train loss: 0.4 val loss: 0.5\n"])
@pytest.mark.parametrize("headline", ["[{0:03d}/005] train", "INFO - [{0}/5]", "[{0}/5] Epoch"])
def test_a_bar_behind_a_count_in_brackets_is_within_it_from_the_first_on(headline: str, summary: str) -> None:
    log = Log()
    for number in range(1, 6):
        log.say(headline.format(number) + "\n")
        log.run("", 100, 8)
        log.say(summary.format(number))
    maps = play(log.rows)
    for each in maps[:-1]:
        assert each["fraction"] == pytest.approx(each["updated_at"] / 40, abs=0.04)
        assert each["message"] == f"epoch {min(int(each['fraction'] * 5 + 1e-9) + 1, 5)} of 5"
    assert (maps[-1]["step"], maps[-1]["total"]) == (500, 500)


def test_a_bar_that_runs_anew_with_each_count_is_known_to_be_within_it_then() -> None:
    """A first one that is over says nothing of others; its 100 % was shown, and are never taken back."""
    log = Log()
    for number in range(1, 6):
        log.run("", 100, 8)
        log.say(f"[{number}/5] loss: 0.4\n")
    shown = play(log.rows)[-4]
    assert [shown[name] for name in ("total", "fraction", "message")] == [500, None, "epoch 5 of 5"]
    assert shown["eta"] == pytest.approx(40 - shown["updated_at"], abs=1)


def test_stages_in_brackets_are_no_epochs() -> None:
    log = Log()
    for number, name in enumerate(("Loading data", "Building model", "Fine"), 1):
        log.say(f"[{number}/3] {name}\n")
        log.run("", 100 * number, 10 * number)
    assert {each["message"] for each in play(log.rows)} == {None}


@pytest.mark.parametrize("form", ["[{0}/5][{1}/1583]\tLoss_D: 1.23", "[Epoch {0}/5] [Batch {1}/1583] [D loss: 1.2]"])
@pytest.mark.parametrize("zero", [0, 1])
def test_two_counts_on_one_line(form: str, zero: int) -> None:
    log = Log()
    for number in range(5):
        for step in range(0, 1583, 100):
            log.say(form.format(number + zero, step + zero) + "\n", 0.5)
    maps = play(log.rows)
    assert {each["total"] for each in maps} == {5 * 1583}
    assert maps[len(maps) // 2]["message"] == "epoch 3 of 5"


@pytest.mark.parametrize("totals", [(100, 200, 300), (1000, 200, 300)])
def test_a_bar_whose_total_changes_is_one_bar(totals: tuple[int, int, int]) -> None:
    """Its steps and its time left are right at once; what was shown is not taken back."""
    log = Log()
    for step in range(301):
        log.say(bar("train", step, totals[(step > 80) + (step > 150)], log.now), 0.2)
    maps = play(log.rows)
    for each in maps[4:-1]:
        assert each["step"] == pytest.approx(each["updated_at"] * 5, abs=5)
        assert each["fraction"] is None or abs(each["fraction"] - each["step"] / each["total"]) < 0.02
        assert each["eta"] == pytest.approx((each["total"] - each["step"]) / 5, rel=0.2, abs=2)
    assert (maps[-1]["step"], maps[-1]["total"], maps[-1]["fraction"]) == (300, 300, 1.0)


@pytest.mark.parametrize("names", [("", ""), ("training", "epoch {0}"), ("epochs", "batches")])
def test_bars_of_equal_totals_within_each_other_are_two(names: tuple[str, str]) -> None:
    """From the second run of the inner one on; before, nobody can tell those that have no names."""
    log, (outer, inner) = Log(), names
    for number in range(11):
        log.say(bar(outer, number, 10, log.now) + "\n")
        began = log.now
        for step in range(11 if number < 10 else 0):
            log.say(bar(inner.format(number), step, 10, log.now - began), 0.4)
    late = [each for each in play(log.rows) if each["updated_at"] > 12]
    for each in late[:-1]:
        assert each["step"] / each["total"] == pytest.approx(each["updated_at"] / 44, abs=0.11)
        assert each["eta"] == pytest.approx(44 - each["updated_at"], abs=4)
    assert late[-1]["fraction"] == 1


def test_epochs_that_a_trainer_tells_are_no_steps() -> None:
    log = Log()
    for step in range(1, 31):
        log.say("", 1.0)
        log.say(f"{{'loss': 0.5, 'learning_rate': 4e-05, 'epoch': {step / 10:.2f}}}\n")
    shown = play(log.rows, "python", "train.py", "--num_train_epochs", "3")[14]
    assert (shown["step"], shown["total"], shown["rate"], shown["message"]) == (None, None, None, "epoch 2 of 3")
    assert (shown["fraction"], shown["eta"]) == (pytest.approx(0.5), pytest.approx(15, abs=1))


def test_a_bar_below_another_one_is_read_as_soon_as_it_is_drawn() -> None:
    """It ends with the way up again, not with a bracket; read one frame late, it would leap at the end of an epoch."""
    log = Log()
    for epoch in range(5):
        log.say(bar("epochs", epoch, 5, log.now))
        for step in (0, 13, 26, 39):
            log.say("\n" + bar("batches", step, 50, step / 10) + "\x1b[A", 1.1 if step == 39 else 1.3)
        log.say("\n\r" + " " * 60 + "\x1b[A")
    rates = [each["rate"] for each in play(log.rows) if each["rate"]]
    assert len(rates) > 12
    assert rates == pytest.approx([10] * len(rates), rel=0.2)  # it is looked at every half second
