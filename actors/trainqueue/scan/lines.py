"""Lines that say where a script is: "Epoch 3/10", "step 300/1000", "[300/1000]", "iter 300: loss 2.4", and dicts."""

from __future__ import annotations

import re

from trainqueue.scan.reading import Reading
from trainqueue.scan.words import LEADS, has_metrics, opens

BEHIND = r"\s{0,8}(?:[:=#]\s{0,8})?(?:[\[(]\s{0,8})?"
"""Between a word and its number."""
EPOCH = re.compile(
    rf"epochs?\b(?:\(\w{{1,40}}\))?{BEHIND}(\d+)\s{{0,8}}(?:(?:/|of|out of)\s{{0,8}}(\d+)(?![\d/.])\s{{0,8}})?[\])]?",
    re.IGNORECASE,
)
AFTER_NUMBER = re.compile(r"\s{0,8}(?:[:,|\[\](=-]|$|step|iter|batch|loss|train|val|\{)", re.IGNORECASE)
"""What follows an epoch's number that has no total, in a log; in a sentence a word does."""
WITHIN = re.compile(
    rf"\s{{0,8}}(?:[,:|;-]{{1,20}}\s{{0,8}})?(?:[\[(]?(?:step|iter(?:ation)?|it|batch){BEHIND}|[\[(]\s{{0,8}})"
    r"(\d+)\s{0,8}(?:/|of)\s{0,8}(\d+)",
    re.IGNORECASE,
)
"""Behind an epoch: how far within it."""
STEP = re.compile(
    r"(global[ _]step|steps?|iter(?:ation)?s?|batch(?:es)?|episodes?|updates?|fold|trial|round)\b"
    rf"{BEHIND}(\d[\d,]*)\s{{0,8}}(?:(?:/|of|out of)\s{{0,8}}(\d[\d,]*)(?![\d/.]))?",
    re.IGNORECASE,
)
BRACKET = re.compile(r"\[\s{0,8}(\d{1,20})\s{0,8}/\s{0,8}(\d{1,20})\s{0,8}(?:\([^)]{0,20}\)\s{0,8})?\]")
PROMISE = re.compile(
    r"\b(?:(total optimization steps|max_steps)|num(?:ber of)?[ _](?:train[ _])?epochs)\b"
    r"[^=:\d]{0,40}[=:]\s{0,8}([\d,]+)",
    re.IGNORECASE,
)
AROUND = frozenset({"fold", "trial", "round"})
"""What epochs may be within; the number is that of one that begins."""
LAST_WORD = "`Trainer.fit` stopped: `max_"
"""Of Lightning."""
PASSES = re.compile(r"""['"]epoch['"]: ['"]?(\d+(?:\.\d+)?)""")
HEADLINE = re.compile(r"\W{0,20}(?:$|train|fit|epoch)", re.IGNORECASE)
"""Behind a count in brackets."""
BUILDS = re.compile(
    r"\]\s{0,8}(?:c\+\+|cc|gcc|g\+\+|nvcc|/|\S{0,80}ninja|Building|Linking|Compiling|Generating|Copying)"
)


def whole(text: str) -> int:
    return int(text.replace(",", ""))


def dictionary(line: str) -> Reading | None:
    """Hugging Face's Trainer: `{'loss': 0.5, 'learning_rate': 5e-05, 'epoch': 1.2}`."""
    if "': " not in line and '": ' not in line:
        return None
    over = "train_runtime" in line
    if not (over or "loss" in line or "eval_" in line or "reward" in line):
        return None
    passes = PASSES.search(line)
    return Reading("dict", said=line, over=over, passes=float(passes[1]) if passes else None)


def words(pattern: re.Pattern[str], line: str, lower: str, *names: str) -> re.Match[str] | None:
    """Where one of these begins a word and the pattern fits. Much quicker than a search."""
    for name in names:
        at = lower.find(name)
        while at >= 0:
            if at == 0 or not (lower[at - 1].isalnum() or lower[at - 1] == "_"):
                found = pattern.match(line, at)
                if found is not None:
                    return found
            at = lower.find(name, at + 1)
    return None


def epoch(line: str, lower: str) -> Reading | None:
    found = words(EPOCH, line, lower, "epoch")
    if found is None or not opens(line[: found.start()]):
        return None
    number, of = found.groups()
    rest = line[found.end() :]
    if of is None and AFTER_NUMBER.match(rest) is None and found[0][-1:] not in "])":
        return None
    epochs = None if of is None else int(of)
    if (within := WITHIN.match(rest)) is not None:
        return of_both(within, int(number), epochs)
    return Reading("epoch", epoch=int(number), epochs=epochs, said=rest, begins=not has_metrics(rest))


def step(line: str, lower: str) -> Reading | None:
    found = words(STEP, line, lower, "step", "iter", "global", "batch", "episode", "update", "fold", "trial", "round")
    if found is None or not opens(line[: found.start()]):
        return None
    word, number, of = found.groups()
    rest = line[found.end() :]
    said = has_metrics(rest)
    if of is None and not said:
        return None
    if of is not None and not said and rest[:1].isalnum():
        return None
    word, count = word.lower().rstrip("s"), float(whole(number))
    if word in AROUND:
        return Reading(word, count - 1, float(whole(of)) if of else None) if of else None
    made = Reading(word, count, float(whole(of)) if of else None, said=rest)
    made.weak = not said  # "Step 1/12 : FROM python" of another program
    return made


def bracket(line: str) -> Reading | None:
    found = BRACKET.search(line)
    if found is None or BUILDS.match(line, found.end() - 1):
        return None
    said, opening = has_metrics(line), opens(line[: found.start()])
    if opening and (within := WITHIN.match(line, found.end())) is not None:
        return of_both(within, int(found[1]), int(found[2]))
    if not said and not opening:
        return None
    made = Reading("[]", float(found[1]), float(found[2]), weak=not said, said=line)
    made.heads = not said and HEADLINE.match(line, found.end()) is not None
    return made


def of_both(within: re.Match[str], epoch: int, epochs: int | None) -> Reading:
    """An epoch, and how far within it."""
    made = Reading("within", float(within[1]), float(within[2]), epoch, epochs, said=within.string[within.end() :])
    made.whole_range = epoch == 0 and made.step == 0
    return made


def promise(line: str) -> Reading | None:
    """Hugging Face, diffusers, Kohya: what they are going to do."""
    if LAST_WORD in line:
        return Reading("promise", over=True)
    found = PROMISE.search(line)
    if found is None:
        return None
    steps, number = found.groups()
    count = whole(number.strip(",") or "0")
    if steps:
        return Reading("promise", promised_steps=count)
    return Reading("promise", promised_epochs=count)


def measure(line: str) -> Reading | None:
    """A line of nothing but metrics."""
    return Reading("measure", said=line) if LEADS.match(line.lstrip()) else None
