"""How the jobs of a weekend end: state, cause and exit code of every attempt against what its process did."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from soak.history import ENDED
from soak.timeline import FOREVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from soak.history import Order, Stamp
    from soak.weekrules import Sight

SLACK = 0.1
LATE = 3.0
"""Seconds that a runner on a busy machine may be late with a signal."""
NUMBERS = {"TERM": 15, "USR1": 10, "SIGUSR1": 10}


def ends_are_true(sight: Sight) -> Iterator[str]:
    for job, order in sight.acknowledged.items():
        view = sight.history.jobs.get(job)
        for attempt in sight.weekend.attempts.get(job, []):
            if view is None or (attempt["attempt"] == view["attempt"] and view["state"] not in ENDED):
                continue
            check = CHECKS.get((attempt["state"], attempt["cause"]), unexpected)
            wrong = check(sight, order, attempt)
            if wrong:
                named = f"job {job}, attempt {attempt['attempt']} is {attempt['state']} ({attempt['cause']})"
                yield f"{named}: {wrong}; {attempt['message']}"


def unexpected(sight: Sight, order: Order, attempt: dict[str, Any]) -> str | None:
    del sight, order
    return None if attempt["state"] is None else "nobody expects that"


def stopped(sight: Sight, order: Order, attempt: dict[str, Any]) -> Stamp | None:
    return sight.stamp("stop", order.id or 0, attempt["attempt"])


def until(sight: Sight, attempt: dict[str, Any]) -> float:
    """When it ended, as the stamps count."""
    return float(attempt["ended_at"]) - sight.weekend.watch.offset + SLACK


def wrong_completed(sight: Sight, order: Order, attempt: dict[str, Any]) -> str | None:
    stop = stopped(sight, order, attempt)
    if stop is None or stop.word != "0":
        return f"it stamped {stop and stop.word}"
    return wrong_time(sight, order, attempt)


def wrong_exit(sight: Sight, order: Order, attempt: dict[str, Any]) -> str | None:
    stop = stopped(sight, order, attempt)
    if stop is None:
        return f"exit code {attempt['exit_code']}, it stamped nothing"
    if int(stop.word) != attempt["exit_code"] or not attempt["exit_code"]:
        return f"exit code {attempt['exit_code']}, it stamped {stop.word}"
    return wrong_time(sight, order, attempt)


def wrong_time(sight: Sight, order: Order, attempt: dict[str, Any]) -> str | None:
    """It ran no longer than it may, in seconds of its own; `stop` is late by its grace at most."""
    start, stop = sight.stamp("start", order.id or 0, attempt["attempt"]), stopped(sight, order, attempt)
    if start is None or stop is None:
        return None
    limits = sight.values(order, "time_limit", start.at)
    # When it may have been suspended without our knowing how long, nothing is sure.
    if sight.maybe(start.job, "suspend", until=stop.at) or None in limits:
        return None
    grace = max((grace or 0.0) for grace in sight.ever(order, "grace"))
    ran = stop.at - start.at
    return f"it ran {ran:.2f} s, its limit is {limits}" if ran > max(limits) + grace + LATE else None


def wrong_signal(sight: Sight, order: Order, attempt: dict[str, Any]) -> str | None:
    number, job, end = attempt["signal"], order.id or 0, until(sight, attempt)
    start = sight.stamp("start", job, attempt["attempt"])
    if number == 9:
        hit = [kill for kill in sight.history.kills if kill.what in {"job", "runner"} and kill.at <= end]
        return None if any(start is None or kill.pid == start.pid for kill in hit) else "nobody has killed it"
    sent = {ask.fields.get("signal") for ask in sight.maybe(job, "signal", until=end)}
    numbers = {NUMBERS.get(str(name), name) for name in sent}
    warned = number == 10 and start is None and (numbers or sight.maybe(job, "preempt") or warns(sight, order))
    return None if number in numbers or warned else f"signal {number}, sent were {numbers}"


def warns(sight: Sight, order: Order) -> bool:
    return any(sight.ever(order, "warn"))


def wrong_time_limit(sight: Sight, order: Order, attempt: dict[str, Any]) -> str | None:
    """Not before its time was over, in which it was not suspended."""
    began, end = float(attempt["started_at"]) - sight.weekend.watch.offset, until(sight, attempt)
    limits = [limit for limit in sight.ever(order, "time_limit") if limit is not None]
    asleep = sum(end - begin for begin, end in sight.asleep(order.id or 0, began, end))
    ran = end - began - asleep
    if not limits or ran < min(limits) - SLACK:
        return f"it ran for {ran:.2f} s (suspended {asleep:.2f}), its limit was one of {limits}"
    if attempt["run_time"] is not None and attempt["run_time"] > ran + LATE:
        return f"run_time {attempt['run_time']:.2f}, it ran for {ran:.2f} s at most"
    return None


def wrong_stalled(sight: Sight, order: Order, attempt: dict[str, Any]) -> str | None:
    job, end = order.id or 0, until(sight, attempt)
    start = sight.stamp("start", job, attempt["attempt"])
    if "stop" not in sight.ever(order, "stall_action"):
        return "nobody wanted that"
    if start is None:
        return None
    least = min(timeout for timeout in sight.ever(order, "stall_timeout") if timeout)
    last = max(
        s.at for s in sight.stamps[job] if s.attempt == start.attempt and s.at <= end and s.what in {"start", "tick"}
    )
    asleep = sum(e - b for b, e in sight.asleep(job, last, end))
    quiet = end - last - asleep
    return f"it was quiet for {quiet:.2f} s, its time-out is {least}" if quiet < least - SLACK else None


def wrong_start(sight: Sight, order: Order, attempt: dict[str, Any]) -> str | None:
    missing = any(str(folder).endswith("missing") for folder in sight.ever(order, "cwd"))
    died = "runners in a row died" in (attempt["message"] or "")
    if stopped(sight, order, attempt) is not None:
        return "it has run"
    return None if missing or died else "why?"


def wrong_cancelled(sight: Sight, order: Order, attempt: dict[str, Any]) -> str | None:
    job = order.id or 0
    if attempt["started_at"] is None and attempt["attempt"] < sight.history.jobs[job]["attempt"]:
        return None if sight.maybe(job, "retry") else "it has another attempt, and nobody retried it"
    end = until(sight, attempt) + SLACK
    return None if sight.maybe(job, "cancel", "preempt", until=end) else "nobody has asked for that"


def wrong_let_down(sight: Sight, order: Order, attempt: dict[str, Any]) -> str | None:
    """Somebody whom it waited for has ended otherwise than it wanted."""
    at = until(sight, attempt)
    if any(sight.ever(order, "after_group")):
        return None  # any job of them may have
    deps = [(dep, good) for name, good in (("after", {"completed"}), ("after_failed", {"failed", "lost"}))
            for some in sight.ever(order, name) for dep in some or ()]  # fmt: skip
    bad = any({news.state for news in sight.ends(dep) if news.at <= at} - good for dep, good in deps)
    return None if bad else f"it waited for {deps}"


def wrong_lost(sight: Sight, order: Order, attempt: dict[str, Any]) -> str | None:
    start = sight.stamp("start", order.id or 0, attempt["attempt"])
    since = order.sent if start is None else start.at - 1.0
    return None if sight.runner_killed(start, since, until(sight, attempt)) else f"its runner was not killed ({start})"


CHECKS: dict[tuple[str | None, str | None], Callable[[Sight, Order, dict[str, Any]], str | None]] = {
    ("completed", None): wrong_completed,
    ("failed", "exit"): wrong_exit,
    ("failed", "signal"): wrong_signal,
    ("failed", "time-limit"): wrong_time_limit,
    ("failed", "stalled"): wrong_stalled,
    ("failed", "start-failed"): wrong_start,
    ("cancelled", "user"): wrong_cancelled,
    ("cancelled", "dependency"): wrong_let_down,
    ("lost", "runner-died"): wrong_lost,
}


def cancels_stick(sight: Sight) -> Iterator[str]:
    """A waiting one never starts, a started one ends so: or lost with its runner, or as it was ending already."""
    for ask in sight.history.asks:
        later = [
            o for o in sight.asked(ask.job, "retry", "cancel") if o is not ask and (o.answered or FOREVER) > ask.sent
        ]
        if ask.op != "cancel" or not ask.ok or later or ask.answered is None:
            continue
        view = sight.history.jobs.get(ask.job, {})
        if view.get("state") not in {"cancelled", "lost"} and view.get("cause") not in {"time-limit", "stalled"}:
            yield f"job {ask.job} is {view.get('state')} although its cancel was acknowledged ({ask.state})"
        for start in sight.starts(ask.job):
            if ask.state == "cancelled" and start.at > ask.answered:
                yield f"job {ask.job}, attempt {start.attempt} started after it was cancelled"


def attempts_were_asked_for(sight: Sight) -> Iterator[str]:
    for job, order in sight.acknowledged.items():
        attempt = sight.history.jobs.get(job, {}).get("attempt", 1)
        most = 1 + sum(max(0, ask.tries) for ask in sight.maybe(job, "retry", "preempt"))
        most += sum(not ask.tries for ask in sight.maybe(job, "retry", "preempt"))
        counts: dict[str, int] = {}
        for rule in sight.ever(order, "retries"):
            for cause, count in (rule or {}).items():
                counts[cause] = max(counts.get(cause, 0), count)
        if attempt > most + sum(counts.values()):
            yield f"job {job} had {attempt} attempts, at most {most} were asked for, and {counts} by themselves"


def attempts_count(sight: Sight) -> Iterator[str]:
    """TRAINQ_ATTEMPT rises, TRAINQ_RESUME is there from the second on, and the environment's rules are kept."""
    for job, order in sight.acknowledged.items():
        starts = sight.starts(job)
        numbers = [start.attempt for start in starts]
        if numbers != sorted(numbers) or (numbers and numbers[-1] > sight.history.jobs.get(job, {}).get("attempt", 0)):
            yield f"job {job}: attempts {numbers}"
        for start in starts:
            resumes = "resume=1" in start.word.split(",")
            if resumes != (start.attempt > 1):
                yield f"job {job}, attempt {start.attempt} found TRAINQ_RESUME: {resumes}"
            frozen = order.mode == "frozen"
            if frozen and not {"denied=0", "kept=1", "frozen=1"} <= {*start.word.split(",")}:
                yield f"job {job}, attempt {start.attempt} from the command line found {start.word}"


def preempted_jobs_come_back(sight: Sight) -> Iterator[str]:
    """Unless somebody cancelled it, or it had ended by itself before the order reached it."""
    for ask in sight.history.asks:
        if ask.op != "preempt" or not ask.ok or ask.answered is None or sight.maybe(ask.job, "cancel"):
            continue
        told = [news for news in sight.news.get(ask.job, []) if news.state == "running" and news.at <= ask.answered]
        ran = ([news for news in told if news.at <= ask.sent][-1:] or told)[:1]  # the next attempt may run already
        view = sight.history.jobs.get(ask.job)
        if not ran or view is None or view["attempt"] > ran[0].attempt:
            continue
        stop = sight.stamp("stop", ask.job, ran[0].attempt)
        ended = [news.at for news in sight.ends(ask.job) if news.attempt == ran[0].attempt]
        if view["state"] == "lost" or (stop is not None and stop.at < ask.answered + SLACK):
            continue
        if not ended or ended[-1] > ask.answered + 0.5:
            yield f"job {ask.job}, attempt {ran[0].attempt} was preempted and did not come back"


def retries_are_given(sight: Sight) -> Iterator[str]:
    """It has not ended for good with a cause of which it has a retry left, where nobody meddled."""
    for job, order in sight.acknowledged.items():
        rules, attempts = sight.ever(order, "retries"), sight.weekend.attempts.get(job)
        if not attempts or len(rules) > 1 or sight.maybe(job, "retry", "cancel", "preempt"):
            continue
        last, causes = attempts[-1], Counter(attempt["cause"] for attempt in attempts)
        again = (rules[0] or {}).get(last["cause"], 0)
        if last["state"] == "failed" and causes[last["cause"]] <= again:
            yield f"job {job} ended {last['cause']} {causes[last['cause']]} times, and had {again} retries after that"


def retries_wait(sight: Sight) -> Iterator[str]:
    """A retry by itself comes after its delay, which grows."""
    for job, order in sight.acknowledged.items():
        delays, backs = {*sight.ever(order, "retry_delay")}, {*sight.ever(order, "retry_backoff")}
        if len(delays) != 1 or len(backs) != 1 or not max(d or 0.0 for d in delays):
            continue
        if sight.maybe(job, "retry", "preempt", "release"):
            continue
        delay = next(iter(delays))
        for number, attempt in enumerate(sight.weekend.attempts.get(job, [])):
            start = sight.stamp("start", job, attempt["attempt"] + 1)
            if start is None or attempt["ended_at"] is None:
                continue
            waited = start.at - (until(sight, attempt) - SLACK)
            if waited < delay * next(iter(backs)) ** number - SLACK:
                yield f"job {job}: attempt {start.attempt} came after {waited:.2f} s, delay {delay}, back-off {backs}"


def who_sleeps_does_nothing(sight: Sight) -> Iterator[str]:
    for job in {ask.job for ask in sight.history.asks if ask.op == "suspend" and ask.ok}:
        for begin, end in sight.asleep(job, 0.0, FOREVER):
            for stamp in sight.stamps.get(job, []):
                if begin + 0.5 < stamp.at < end and not new_attempt(sight, stamp, begin):
                    yield f"job {job} stamped {stamp.what} {stamp.at - begin:.2f} s after it was suspended"


def new_attempt(sight: Sight, stamp: Stamp, since: float) -> bool:
    start = sight.stamp("start", stamp.job, stamp.attempt)
    return start is None or start.at > since - 0.5


def the_guard_has_seen_it(sight: Sight) -> Iterator[str]:
    """It pauses only after so many that failed at once."""
    for event in sight.raw:
        if event["type"] == "queue" and event.get("pause_reason") and "in a row" not in event["pause_reason"]:
            yield f"paused for {event['pause_reason']}"
        if event["type"] == "queue" and event.get("pause_reason") and event["paused"]:
            failed = [
                attempt
                for attempts in sight.weekend.attempts.values()
                for attempt in attempts
                if attempt["state"] == "failed" and until(sight, attempt) - SLACK <= event["at"] + SLACK
            ]
            if len(failed) < 5:
                yield f"the queue was paused after {len(failed)} failures: {event['pause_reason']}"


INVARIANTS: tuple[Callable[[Any], Iterator[str]], ...] = (
    ends_are_true,
    cancels_stick,
    attempts_were_asked_for,
    attempts_count,
    preempted_jobs_come_back,
    retries_are_given,
    retries_wait,
    who_sleeps_does_nothing,
    the_guard_has_seen_it,
)
