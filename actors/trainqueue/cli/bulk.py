"""One verb on many jobs: which it can be done to, a question where it hits several running ones, an answer per job."""

from __future__ import annotations

import re
from collections.abc import Callable  # noqa: TC003  (a dataclass's field)
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from trainqueue.cli.common import NO_JOB, REFUSED, client, complain, show_json
from trainqueue.cli.select import ENDED, LIVING, STARTED, WAITING, asks_on_a_terminal, chunks, look, states_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
    fits: Callable[[dict[str, Any]], bool] = lambda _: True
    """Which of those."""
    word: str = ""
    """What becomes of a running job, where its state does not tell."""
    asks: bool = False
    """It takes something away from a running job."""


CANCEL = Verb("cancel", LIVING, word="stopping", asks=True)
HOLD = Verb("hold", WAITING, lambda job: not job["hold"])
RELEASE = Verb("release", WAITING, lambda job: bool(job["hold"]) or job["why_code"] in {"held", "backoff"})
RETRY = Verb("retry", ENDED)
MOVE = Verb("move", WAITING)
EDIT = Verb("edit", WAITING)


def picked(trainq: Client, verb: Verb, which: Selection) -> list[int]:
    """Named ids as given; else those that the verb can be done to, the oldest first. Raises UsageError."""
    if not which.filtered:
        return which.ids
    found = look(trainq, which, states_of(which, verb.states))
    ids = [job["id"] for job in found if verb.fits(job)][::-1]
    if which.ids:
        chosen = {*ids}
        return [job for job in which.ids if job in chosen]
    return ids


def sure(trainq: Client, verb: Verb, ids: Sequence[int]) -> bool:
    """Whether to go on: asked only on a terminal, and only where more than one running job is hit."""
    if not verb.asks or len(ids) < 2 or not asks_on_a_terminal():
        return True
    running = [job["id"] for some in chunks(ids) for job in started(trainq, some)]
    if len(running) < 2:
        return True
    named = ", ".join(map(str, sorted(running)[:NAMED])) + (", …" if len(running) > NAMED else "")
    return click.confirm(f"{verb.op} {len(running)} running jobs ({named})?", err=True)


def started(trainq: Client, ids: Sequence[int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = trainq.call("jobs", jobs=[*ids], states=[*STARTED], limit=len(ids))["jobs"]
    return found


def act(verb: Verb, which: Selection, *, document: bool, yes: bool = False, **fields: object) -> int:
    """The exit code: 4 when no job named is there, 1 when any was refused."""
    trainq = client()
    ids = picked(trainq, verb, which)
    if not ids:
        return nothing(document=document)
    if not yes and not sure(trainq, verb, ids):
        complain("nothing was changed")
        return REFUSED
    return tell(done(trainq, verb, ids, fields), verb.word, document=document)


def nothing(*, document: bool) -> int:
    """A filter that finds nothing is no error: a script may sweep up what is not there."""
    if document:
        show_json([])
    complain("no such job; nothing was changed")
    return 0


def done(trainq: Client, verb: Verb, ids: Sequence[int], fields: dict[str, object]) -> Iterator[Answer]:
    """The answers as they come: so many at a time that the daemon is free for others in between."""
    for some in chunks(ids):
        yield from trainq.verb(verb.op, some, **fields)


def refused(answer: Answer) -> str:
    """Why, with the job named where the daemon has not."""
    from trainqueue.cli.refusals import in_words

    sentence, job = in_words(answer["error"]["message"]), f"job {answer['id']}"
    return sentence if re.search(rf"{job}\b", sentence) else f"{job}: {sentence}"


def tell(answers: Iterator[Answer], word: str = "", *, document: bool) -> int:
    """All answers as they come, or at the end as one document; the exit code."""
    told: list[Answer] = []
    for answer in answers:
        told.append(answer)
        if document:
            continue
        if answer["ok"]:
            click.echo(f"{answer['id']}\t{(word if answer['state'] in STARTED else '') or answer['state']}")
        else:
            complain(refused(answer))
    if document:
        show_json(told)
    errors = [answer["error"] for answer in told if not answer["ok"]]
    if errors and all(error["code"] == "not-found" for error in errors):
        return NO_JOB
    return REFUSED if errors else 0
