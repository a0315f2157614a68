"""How long jobs take: what is asked first, what runs of their likes tell, and what is left of those that run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from trainqueue.core.chances import left
from trainqueue.core.fates import KEPT
from trainqueue.core.job import Job, Running
from trainqueue.core.length import Length, Limited
from trainqueue.core.lengths import Lengths
from trainqueue.core.likeness import is_lengthy
from trainqueue.core.past import NoPast, Runs
from trainqueue.core.shape import shape
from trainqueue.core.spec import JobSpec

NOW = 1_790_000_000.0
DRAWS = 19


def spec(command: str, cwd: str = "/w", **fields: Any) -> JobSpec:
    return JobSpec(command=tuple(command.split()), cwd=cwd, **fields)


def knowing(*runs: tuple[str, float], **fields: Any) -> Lengths:
    made = Lengths(NoPast())
    for command, seconds in runs:
        made.ended(spec(command, **fields), seconds)
    return made


def middle(lengths: Lengths, command: str, **fields: Any) -> float | None:
    found = lengths.of(spec(command, **fields))
    return None if found is None else found.draw(1, DRAWS)[-1]


def rest(lengths: Lengths, job: Job) -> tuple[float, float, float] | None:
    """First, median and last of what is left."""
    found = lengths.left(job, NOW, DRAWS, 10.0)
    return None if found is None else (found.seconds[1], found.seconds[9], found.seconds[-2])


def running(command: str, ran: float, progress: dict[str, Any] | None = None, **fields: Any) -> Job:
    state = Running(
        ("a",), 1, NOW - ran, **{key: fields.pop(key) for key in ("stopping", "suspended") if key in fields}
    )
    return Job(1, spec(command, **fields), "me", 0.0, 0, 0, state=state, progress=progress)


def test_nothing_known_is_unknown_and_a_time_limit_is_all_that_is_known_of_a_new_one() -> None:
    assert middle(knowing(), "new") is None
    assert middle(knowing(), "new", time_limit=600.0) == 600.0
    assert rest(knowing(), running("new", 100.0)) is None
    found = rest(knowing(), running("new", 100.0, time_limit=600.0))
    assert found is not None
    assert 0 <= found[0] < found[1] <= 500.0 == found[2]


def test_of_the_ends_that_are_recalled_the_last_ones_count() -> None:
    """They are told the newest first."""
    some = knowing(("./a", 100.0))
    for seconds in [90.0] * KEPT + [10.0] * KEPT:
        some.broken_off(spec("./a"), seconds, before_all=True)
    length = some.of(spec("./a"))
    assert isinstance(length, Length)
    assert length.fate.parts.count(0.9) == KEPT


def test_the_same_command_goes_before_its_likes_and_these_before_others_of_the_script_and_of_the_group() -> None:
    some = knowing(("python t.py --lr 1", 100.0), ("python t.py --lr 2", 300.0), ("python t.py --lr 3", 310.0))
    assert middle(some, "python t.py --lr 1") == pytest.approx(100.0)
    assert middle(some, "python t.py --lr 9") == pytest.approx(300.0, rel=0.1)
    assert middle(some, "python t.py --lr 9 --fast") == pytest.approx(300.0, rel=0.1)
    assert middle(some, "python other.py --lr 1") is None
    assert middle(some, "python t.py --lr 1", gpus=4) is None
    grouped = knowing(("./a", 50.0), group="g")
    assert middle(grouped, "./b", group="g") == pytest.approx(50.0)
    assert middle(grouped, "./b", group="h") is None


def test_the_same_command_in_another_folder_tells_where_nothing_else_does() -> None:
    runs = [("python t.py --epochs 10", seconds) for seconds in (95.0, 100.0, 105.0)]
    some = knowing(*runs)
    assert middle(some, "python t.py --epochs 10", cwd="/other") == pytest.approx(100.0)
    assert middle(some, "python /other/t.py --epochs 40", cwd="/other") == pytest.approx(400.0)
    assert middle(some, "python t.py --model big", cwd="/other") is None
    there, here = some.of(spec(runs[0][0], cwd="/other")), some.of(spec(runs[0][0]))
    assert isinstance(there, Length)
    assert isinstance(here, Length)
    assert there.doubt > 3 * here.doubt
    some.ended(spec("python t.py --epochs 20", cwd="/other"), 1000.0)  # something else by the same name
    assert middle(some, "python t.py --epochs 10", cwd="/other") == pytest.approx(500.0)
    assert middle(some, "python t.py --epochs 20") == pytest.approx(200.0)
    for seconds in (480.0, 500.0, 520.0):
        some.ended(spec("python t.py --epochs 10", cwd="/third"), seconds)
    assert middle(some, "python t.py --epochs 10", cwd="/other") == pytest.approx(500.0)
    assert middle(some, "python t.py --epochs 10", cwd="/fourth") == pytest.approx(300.0, rel=0.7)


def test_the_journal_is_asked_for_runs_of_other_days() -> None:
    @dataclass
    class Past:
        def runs(self, spec: JobSpec) -> Runs:
            return Runs(times=(90.0, 100.0, 110.0)) if spec.command == ("old",) else Runs()

    some = Lengths(Past())
    assert middle(some, "old") == pytest.approx(100.0)
    assert middle(some, "new") is None


def test_options_that_matter_are_found_and_others_are_not() -> None:
    runs = [
        (f"python t.py --lr {lr} --model {model} --batch {batch}", base * batch**-0.5 * (1 + lr / 100))
        for lr in (1, 2, 3)
        for model, base in (("small", 100.0), ("large", 400.0))
        for batch in (8, 32)
    ]
    some = knowing(*runs)
    for model, base in (("small", 100.0), ("large", 400.0)):
        for batch in (8, 16, 32):
            expected = pytest.approx(base * batch**-0.5, rel=0.12)
            assert middle(some, f"python t.py --lr 7 --model {model} --batch {batch}") == expected
    unseen = some.of(spec("python t.py --lr 7 --model huge --batch 8"))
    seen = some.of(spec("python t.py --lr 7 --model small --batch 8"))
    assert isinstance(unseen, Length)
    assert isinstance(seen, Length)
    assert unseen.doubt > 2 * seen.doubt


def test_epochs_make_it_longer_from_the_first_run_on() -> None:
    assert middle(knowing(("python t.py --epochs 10", 100.0)), "python t.py --epochs 40") == pytest.approx(400.0)
    assert middle(knowing(("python t.py --save-steps 10", 100.0)), "python t.py --save-steps 40") == pytest.approx(100)
    assert middle(knowing(("sleep 10", 10.0)), "sleep 40") == pytest.approx(40.0)
    lengthy = ("--epochs", "--num_train_epochs", "trainer.max_steps=", "--n-iter", "MAX_STEPS=", "-steps")
    assert all(map(is_lengthy, lengthy))
    assert not any(is_lengthy(name) for name in ("--save-steps", "--lr", "", "--warmup_steps", "#1"))


def test_commands_of_a_sweep_are_of_one_shape() -> None:
    for one, other in (
        ("python train.py --lr 0.1", "python train.py --lr 0.01"),
        ("python -u train.py --lr=0.1 cifar1", "python -u train.py --lr=1e-3 cifar2"),
        ("python -m pkg.train lr=0.1 opt.name=sgd", "python -m pkg.train lr=1 opt.name=adam"),
        ("./run 1 2", "./run 3 4"),
    ):
        assert shape(spec(one)) == shape(spec(other))
    for one, other in (
        ("python train.py --lr 0.1", "python test.py --lr 0.1"),
        ("python train.py --lr 0.1", "python train.py --wd 0.1"),
        ("python -m pkg.train", "python -m pkg.test"),
        ("./run cifar", "./run imagenet"),
    ):
        assert shape(spec(one)) != shape(spec(other))
    inside = JobSpec(command=("bash", "-c", "python t.py --lr 1"), cwd="/w")
    assert shape(inside).values["--lr"] == "1"
    assert shape(JobSpec(command=("-",), cwd="/w")).whole
    hostile = JobSpec(command=("x" * 1000, "--" + "a-" * 5000, "=", "--", "-", "", "9" * 4000), cwd="/w")
    assert shape(hostile).whole


@pytest.mark.parametrize(
    ("ago", "eta", "left_now"),
    [(0.0, 500.0, 500.0), (300.0, 900.0, 600.0), (550.0, 5000.0, 4450.0), (2000.0, 5000.0, 3000.0)],
)
def test_an_eta_shrinks_as_time_goes_by(ago: float, eta: float, left_now: float) -> None:
    told = {"fraction": None, "eta": eta, "updated_at": NOW - ago}
    found = rest(knowing(), running("new", 10_000.0, told))
    assert found is not None
    assert found[1] == pytest.approx(left_now, rel=0.02)
    assert found[0] < found[1] < found[2]


def test_an_eta_that_is_overdue_ends_soon_and_one_that_is_stale_says_nothing() -> None:
    overdue = rest(knowing(), running("new", 1000.0, {"fraction": 0.9, "eta": 100.0, "updated_at": NOW - 130}))
    assert overdue is not None
    assert 0 < overdue[1] < 60
    stale = running("new", 10_000.0, {"fraction": 0.5, "eta": 900.0, "updated_at": NOW - 700})
    assert rest(knowing(), stale) is None
    assert rest(knowing(("new", 12_000.0)), stale) is not None


def test_a_fraction_alone_tells_the_time_left() -> None:
    found = rest(knowing(), running("new", 100.0, {"fraction": 0.25, "eta": None, "updated_at": NOW}))
    assert found is not None
    assert found[1] == pytest.approx(300.0, rel=0.02)


def test_what_one_of_a_sweep_says_is_also_told_of_those_that_wait() -> None:
    some = knowing()
    some.look([running("python t.py --lr 1", 100.0, {"eta": 300.0, "updated_at": NOW})], NOW)
    assert middle(some, "python t.py --lr 2") == pytest.approx(400.0)
    some.look([], NOW)
    assert middle(some, "python t.py --lr 2") is None


def test_who_outlives_what_was_expected_is_expected_to_take_longer_and_longer() -> None:
    some = knowing(*[("t", seconds) for seconds in (95.0, 100.0, 105.0, 100.0)])
    rests = [found for ran in (0.0, 90.0, 120.0, 300.0) if (found := rest(some, running("t", ran))) is not None]
    assert [first >= 0 for first, _, _ in rests] == [True] * 4
    assert rests[0][1] == pytest.approx(100.0, rel=0.02)
    assert rests[1][1] < 20
    assert rests[3][1] > rests[2][1]
    assert left(100.0, 0.05, 1e9, 9)[4] > 0


def test_who_is_told_to_end_ends_soon_and_who_is_suspended_is_unknown() -> None:
    some = knowing(("t", 1000.0))
    ending = rest(some, running("t", 10.0, stopping=True, grace=2.0))
    assert ending is not None
    assert ending[2] <= 2.0
    assert rest(some, running("t", 10.0, suspended=True)) is None


def test_nobody_outlives_his_time_limit_and_parts_of_limits_are_learnt() -> None:
    found = knowing(("t", 1000.0)).of(spec("t", time_limit=400.0))
    assert found is not None
    assert max(found.draw(3, DRAWS)) <= 400.0
    learnt = Lengths(NoPast())
    for at in range(3):
        assert isinstance(learnt.of(spec("./else", time_limit=2000.0)), Limited)
        learnt.ended(spec(f"./new{'x' * at}", time_limit=1000.0), 250.0)
    assert middle(learnt, "./else", time_limit=2000.0) == pytest.approx(500.0)
    assert isinstance(Lengths(NoPast()).of(spec("x", time_limit=1.0)), Limited)
    for some, is_open in ((learnt, True), (Lengths(NoPast()), True), (knowing(("new", 90.0)), False)):
        rests = some.left(running("new", 10.0, time_limit=600.0), NOW, DRAWS, 10.0)
        assert rests is not None
        assert rests.is_open == is_open


def test_jobs_that_fail_early_make_those_behind_them_be_expected_earlier() -> None:
    some = knowing(*[("t", 100.0)] * 10)
    usual = some.of(spec("t"))
    for _ in range(10):
        some.broken_off(spec("t"), 10.0)
    failing, other = some.of(spec("t")), knowing(("u", 100.0)).of(spec("u"))
    assert isinstance(usual, Length)
    assert isinstance(failing, Length)
    assert isinstance(other, Length)
    assert failing.middle == pytest.approx(usual.middle)
    assert usual.fate.early < other.fate.early < 0.06 < failing.fate.early
    assert sum(failing.draw(1, DRAWS)) < 0.85 * sum(usual.draw(1, DRAWS))
    late = rest(some, running("t", 20.0))
    assert late is not None
    assert late[1] == pytest.approx(80.0, rel=0.1)
    some.broken_off(spec("stranger"), 0.0)  # cancelled before it began, and nobody knows how long it takes
    assert some.of(spec("stranger")) is None
