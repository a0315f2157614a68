"""Bars of tqdm, with which Hugging Face, Lightning, Kohya and many more draw, and those of rich and Keras."""

from __future__ import annotations

import re

from trainqueue.scan.reading import Reading
from trainqueue.scan.words import scaled, seconds

COUNT = r"\d{1,20}(?:\.\d{1,20})?[kMGT]?"
TQDM = re.compile(
    rf"[^|]*\|\s{{0,8}}(?P<step>{COUNT})[A-Za-z]{{0,20}}/(?P<total>{COUNT})[A-Za-z]{{0,20}}"
    r"\s{0,8}\[(?P<elapsed>[^<\]]{0,40})<(?P<left>(?:\d{1,8} days?, )?[^,\]]{0,40}),"
    r"\s{0,8}(?P<rate>[^,\]]{0,60})(?P<said>[^\]]*)"
)
"""Behind the `%|`."""
ENDLESS = re.compile(
    rf"(?:(?P<desc>.*?):\s{{1,8}})?(?P<step>{COUNT})[A-Za-z]{{0,20}}\s\[(?P<elapsed>\d{{1,8}}:[\d:]{{1,20}}),"
    r"[^,\]/]{0,60}/[^,\]]{0,60}(?P<said>[^\]]*)"
)
"""A bar that knows no total: `45it [00:10, 4.3it/s]`."""
IN_NAME = re.compile(r"\bepochs?\b\W{0,3}(\d+)(?:\s{0,8}(?:/|of)\s{0,8}(\d+))?|^\s{0,8}(\d+)/(\d+)\s", re.IGNORECASE)
"""An epoch in a description; the second kind is Ultralytics'."""
BAR = re.compile(r"[━╸╺][\s━╸╺]*")
RICH = re.compile(
    r"(?:(?P<percent>\d{1,3})%|(?P<step>\d+)/(?P<total>\d+))"
    r"(?:\s{1,8}(?P<elapsed>\d{1,8}:[\d:]{1,20}))?(?:\s{1,8}•\s{1,8}(?P<left>[-\d:]{1,20}))?(?P<said>.*)"
)
"""Behind a bar and a blank."""
KERAS = re.compile(
    r"\s{0,8}(?P<step>\d+)/(?P<total>\d+|Unknown)\s{1,8}(?:\[[=>.]{0,100}\]|[━╸╺][\s━╸╺]{0,200}|-)(?P<said>.*)"
)
MINOR_FIRST = re.compile(
    r"^\W{0,20}(?:load|download|map|filter|token|fetch|generat|resolv|cast|sav|upload|cach|extract|pre-?process|prepar|build"
    r"|read|sanity|predict|sampl|inferenc|bucket|encod|decod|scor|check|flatten|index|convert|compil|warm|install"
    r"|collect|unpack|copy|copi|verif|import|initiali|quanti|calibrat|running tokenizer|grouping|packing"
    r"|adding|applying|truncat|deleting|creating|processing|computing|push|setting|materiali|scan)",
    re.IGNORECASE,
)
MINOR = re.compile(r"\b(?:val|valid|validat\w*|eval|evaluat\w*|test|testing|inference|shards?|split)\b", re.IGNORECASE)
FILE = re.compile(r"\.(?:json|safetensors|bin|txt|model|pt|pth|ckpt|onnx|gguf|parquet|zip|gz|tar|csv|jsonl)(?:\W|$)")
MINOR_UNIT = re.compile(r"(?:B|examples?|files?|shards?|images?(?= ?dl))/s|(?:B|examples?|files?)\b")
DIGITS = re.compile(r"\d+(?:\.\d+)?")


def is_minor(name: str) -> bool:
    return bool(name) and bool(MINOR_FIRST.match(name) or MINOR.search(name) or FILE.search(name))


def named(made: Reading, desc: str) -> Reading:
    """With what its description says."""
    desc = desc.strip()[-200:]
    if desc:
        epoch = IN_NAME.search(desc)
        if epoch is not None:
            number, of = (epoch[1], epoch[2]) if epoch[1] else (epoch[3], epoch[4])
            made.epoch, made.epochs = int(number), None if of is None else int(of)
        made.minor = made.minor or is_minor(desc)
        made.name = DIGITS.sub("", desc)[:60].strip().lower()
    return made


def tqdm(line: str) -> Reading | None:
    at = line.find("%|")
    found = TQDM.match(line, at + 2)
    if found is None or at < 1 or not line[at - 1].isdigit():
        return None
    step, total, elapsed, left, rate, said = found.groups()
    desc = line[:at].rstrip("0123456789").rstrip(" :")
    made = Reading(step=scaled(step), total=scaled(total), said=said, renames=True)
    made.elapsed, made.left = seconds(elapsed), seconds(left)
    made.minor = MINOR_UNIT.search(rate) is not None
    return named(made, desc) if desc else made


def endless(line: str) -> Reading | None:
    found = ENDLESS.match(line)
    if found is None:
        return None
    desc, step, elapsed, said = found.groups()
    return named(Reading(step=scaled(step), elapsed=seconds(elapsed), said=said), desc or "")


def rich_bar(line: str) -> tuple[str, re.Match[str] | None]:
    """What stands before the first bar that has a count behind it, and that count. One pass, whatever the line."""
    begun = 0
    for bar in BAR.finditer(line):
        if line[bar.end() - 1].isspace() and (found := RICH.match(line, bar.end())) is not None:
            return line[begun : bar.start()], found
        begun = bar.end()
    return "", None


def rich(line: str) -> Reading | None:
    """Also Keras 3, whose bars are of the same sign and have the count in front of them."""
    found = KERAS.match(line)
    if found is not None:
        return keras_of(found)
    desc, found = rich_bar(line)
    if found is None:
        return None
    percent, step, total, elapsed, left, said = found.groups()
    made = Reading(step=float(percent or step), total=100.0 if percent else float(total), said=said)
    made.elapsed, made.left = seconds(elapsed or "?"), seconds(left or "?")
    named(made, desc)
    made.from_zero = made.epochs is not None and left is not None  # Lightning's; others count as they like
    if made.epochs is not None and made.epochs < (made.epoch or 0):
        made.epochs = None  # Lightning without an end
    return made


def keras(line: str) -> Reading | None:
    found = KERAS.match(line)
    return None if found is None else keras_of(found)


def keras_of(found: re.Match[str]) -> Reading:
    step, total, said = found.groups()
    return Reading("keras", float(step), None if total == "Unknown" else float(total), said=said)
