"""One verb on many jobs: a question where it hits several running ones, an answer per job, an exit code for all.

The exit code is 4 where a job that was named is not there, whatever became of the others; else 1 where one was refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from trainqueue.chunks import chunks
from trainqueue.cli.common import NO_JOB, REFUSED, client, complain, show_json
from trainqueue.cli.select import (
    ENDED,
    LIVING,
    PAGE,
    RUNNING,
    STARTED,
    WAITING,
    asks_on_a_terminal,
    look,
    states_of,
)
from trainqueue.cli.unmatched import in_ranges, nothing
from trainqueue.core.words import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trainqueue.cli.select import Selection
    from trainqueue.client import Client

NAMED = 10
"""Ids that a question names."""
Answer = dict[str, Any]
YES = click.option("-y", "--yes", is_flag=True, help="Do not ask, however many running jobs it hits.")


@dataclass(frozen=True, slots=True)
class Verb:
    """An op that takes `jobs` and answers per job."""

    op: str
    states: tuple[str, ...]
    """Of the jobs that it can be done to."""
    word: str = ""
    """What becomes of a job that it is done to, where its state does not tell."""
    later: str = ""
    """The same where the job is suspended, and only what follows when it is continued."""
    asks: bool = False
    """It takes something away from a running job."""
    places: bool = False
    """It may give the job another place in the line."""


CANCEL = Verb("cancel", LIVING, word="stopping", asks=True)
HOLD = Verb("hold", WAITING, word="held")
RELEASE = Verb("release", WAITING, places=True)
RETRY = Verb("retry", ENDED, places=True)
MOVE = Verb("move", WAITING, places=True)
EDIT = Verb("edit", WAITING)


def picked(trainq: Client, verb: Verb, which: Selection) -> list[int]:
    """Named ids as given; else those that the verb can be done to, the oldest first. Raises UsageError."""
    if not which.filtered:
        return which.ids
    found = look(trainq, which, states_of(which, verb.states))
    taking = (job for job in found if verb.states != RUNNING or not job["stopping"])  # which takes no order any more
    ids = [job["id"] for job in taking][::-1]
    if which.ids:
        chosen = {*ids}
        return [job for job in which.ids if job in chosen]
    return ids


def sure(trainq: Client, verb: Verb, ids: Sequence[int]) -> bool:
    """Whether to go on: asked only on a terminal, and only where more than one running job is hit."""
    if not verb.asks or len(ids) < 2 or not asks_on_a_terminal():
        return True
    running = [job["id"] for some in chunks(ids, PAGE) for job in started(trainq, some)]
    if len(running) < 2:
        return True
    named = ", ".join(map(str, sorted(running)[:NAMED])) + (", …" if len(running) > NAMED else "")
    return click.confirm(f"{verb.op} {len(running)} running jobs ({named})?", err=True)


def started(trainq: Client, ids: Sequence[int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = trainq.call("jobs", jobs=[*ids], states=[*STARTED], limit=len(ids))["jobs"]
    return found


def act(verb: Verb, which: Selection, *, document: bool, yes: bool = False, **fields: object) -> int:
    """The exit code."""
    trainq = client()
    ids = picked(trainq, verb, which)
    if not ids:
        return nothing(trainq, which, verb.states, document=document)
    if not yes and not sure(trainq, verb, ids):
        complain("nothing was changed")
        return REFUSED
    return tell(verb, done(trainq, verb, ids, fields), document=document, named=not which.filtered)


def done(trainq: Client, verb: Verb, ids: Sequence[int], fields: dict[str, object]) -> Iterator[Answer]:
    """The answers as they come: so many at a time that the daemon is free for others in between."""
    lived = living(trainq, ids) if verb is CANCEL and len(ids) > PAGE else set[int]()
    for some in chunks(ids, PAGE):
        for answer in trainq.verb(verb.op, some, **fields):
            yield fallen(answer) if answer["id"] in lived else answer


def living(trainq: Client, ids: Sequence[int]) -> set[int]:
    """Of more than one message's jobs: who has not ended before the first of them."""
    return {
        job["id"]
        for some in chunks(ids, PAGE)
        for job in trainq.call("jobs", jobs=[*some], states=[*LIVING], limit=len(some))["jobs"]
    }


def fallen(answer: Answer) -> Answer:
    """One that has ended with another of an earlier message, which it waits for, has become what it was to be."""
    if answer["ok"] or answer["state"] != "cancelled":
        return answer
    return {**answer, "ok": True, "changed": True, "error": None}


def tell(verb: Verb, answers: Iterable[Answer], *, document: bool, named: bool = True) -> int:
    """All answers as they come, or at the end as one document; the exit code.

    What was so already is said of each that was `named`, and of those that a filter has found in one sentence.
    """
    told: list[Answer] = []
    already: list[Answer] = []
    errors: list[Answer] = []
    over = 0
    for answer in answers:
        told.append(answer)
        if not (named or answer["ok"]) and answer["state"] in ENDED and verb.states != ENDED:
            over += 1  # between our look and the verb, and the filter is for those that live
            continue
        errors += [] if answer["ok"] else [answer]
        was_so = verb.op != "signal" and answer.get("changed") is False
        if document or is_missing(answer):
            continue
        if answer["ok"] and was_so and not named:
            already.append(answer)
        elif answer["ok"]:
            click.echo(f"{answer['id']}\t{outcome(verb, answer)}" + (" already" if was_so else ""))
        else:
            complain(refused(answer))
    if document:
        show_json(told)
    else:
        say_already(verb, already, len(told))
        say_over(over)
    return code(errors, document=document)


def say_over(count: int) -> None:
    if count:
        complain(f"{number(count, 'job')} more had ended by then")


def outcome(verb: Verb, answer: Answer) -> str:
    """What has become of the job."""
    state: str = answer["state"]
    if verb.later and answer.get("suspended"):
        return verb.later
    if verb.word and state in verb.states:
        return verb.word
    at = answer.get("position") if verb.places else None
    return f"{state} (position: {at})" if at else state


def say_already(verb: Verb, already: Sequence[Answer], of: int) -> None:
    """Of those that a filter has found: they are what was asked for."""
    if not already:
        return
    words = {outcome(verb, answer).partition(" (")[0] for answer in already}
    state = f"{' or '.join(sorted(words))} already"
    if len(already) < of:
        complain(f"{len(already)} more {'is' if len(already) == 1 else 'are'} {state}")
    else:
        complain(f"1 job matches, and it is {state}" if of == 1 else f"{number(of, 'job')} match, all are {state}")


def is_missing(answer: Answer) -> bool:
    """The job itself, and not what it was to wait for."""
    return not answer["ok"] and answer["error"]["code"] == "not-found" and answer["state"] is None


def refused(answer: Answer) -> str:
    """Why, with the job named where the daemon has not."""
    from trainqueue.cli.refusals import in_words

    sentence, job = in_words(answer["error"]["message"]), f"job {answer['id']}"
    return sentence if re.search(rf"{job}\b", sentence) else f"{job}: {sentence}"


def code(errors: Sequence[Answer], *, document: bool = False) -> int:
    """The exit code; those that are not there are named in one sentence."""
    missing = [answer for answer in errors if is_missing(answer)]
    if missing and not document:
        several = f"no such jobs: {in_ranges(answer['id'] for answer in missing)} ({len(missing):,})"
        complain(several if len(missing) > 1 else missing[0]["error"]["message"])
    if any(answer["error"]["code"] == "not-found" for answer in errors):
        return NO_JOB
    return REFUSED if errors else 0
