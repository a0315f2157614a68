"""The options of `submit` for retries, and `--warn` without a time limit, for preemptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commands import Cli


def test_retries_with_delay_back_off_and_place(cli: Cli) -> None:
    options = ["--retries", "exit=2,lost=1", "--retry-delay", "5m", "--retry-backoff", "1.5", "--retry-place", "back"]
    assert cli("submit", "--hold", *options, "--resume-args", "--resume 'a b'", "--", "true").returncode == 0
    job = cli.json("status", "1")
    assert (job["retries"], job["retry_delay"]) == ({"exit": 2, "runner-died": 1}, 300)
    assert (job["retry_backoff"], job["retry_place"], job["resume_args"]) == (1.5, "back", ["--resume", "a b"])


def test_wrong_options_are_refused_with_words(cli: Cli) -> None:
    for options, words in (
        (("--resume-args", "'open"), "cannot be split into words"),
        (("--retry-backoff", "0.5"), "0.5"),
        (("--retry-place", "middle"), "front"),
        (("--warn", "5m", "--time-limit", "1m"), "must be shorter than --time-limit"),
    ):
        refused = cli("submit", "--hold", *options, "--", "true")
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr


def test_a_warning_without_a_time_limit_is_for_preemptions(cli: Cli) -> None:
    assert cli("submit", "--hold", "--warn", "5m", "--", "true").returncode == 0
    assert cli.json("status", "1")["warn"] == 300


def test_status_shows_all_attempts_of_a_job_that_had_several(cli: Cli) -> None:
    cli("submit", "--retries", "exit=1", "--", "sh", "-c", "exit $((2 + $TRAINQ_ATTEMPT))")
    cli("wait", "1")
    said = cli("status", "1").stdout.splitlines()
    lines = [line.split("\t") for line in said if line.startswith("attempt ")]
    assert [(name, fact[: len("failed (exit, exit 3) after ")]) for name, fact in lines] == [
        ("attempt 1", "failed (exit, exit 3) after "),
        ("attempt 2", "failed (exit, exit 4) after "),
    ]
    assert [one["exit_code"] for one in cli.json("status", "1")["attempts"]] == [3, 4]
    cli("run", "--", "true")
    assert "attempt 1" not in cli("status", "2").stdout
