"""What all recognisers need: numbers, metrics, and what tells a line of a log from prose."""

from __future__ import annotations

import math
import re

NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|nan|inf|-inf"
KNOWN = (
    r"loss|acc|accuracy|lr|learning[ _]rate|ppl|perplexity|mfu|f1|auc|mae|mse|rmse|bleu|reward|return|score|iou|map"
    r"|dice|grad[ _]norm|psnr|ssim|fid|wer|cer|recall|precision|top1|top5|bpb|bpc|entropy|kl"
)
WHICH = r"train|training|val|valid|validation|test|eval|avg|average|mean|total|best"
NAMED = re.compile(
    rf"((?:(?:{WHICH})[ ])?[A-Za-z_][\w./@%-]{{0,39}})\s{{0,8}}(?:['\"]\s{{0,8}})?"
    rf"[=:]\s{{0,8}}['\"]?({NUMBER})(?![\w:/]|\.\d)",
    re.IGNORECASE,
)
"""`loss=0.5`, `val loss: 0.5`, `'loss': 0.5`."""
PLAIN = re.compile(rf"\b((?:(?:{WHICH})[ _])?(?:{KNOWN}))\s{{1,8}}({NUMBER})(?![\w:/]|\.\d)", re.IGNORECASE)
"""`train loss 0.5`: only with a name that is known."""
VALUE = re.compile(rf"[A-Za-z_@%\d][\"']?\s{{0,8}}[=:]\s{{0,8}}[\"']?(?:{NUMBER})(?![\w:/]|\.\d)")
LEADS = re.compile(
    rf"(?:(?:{WHICH})[ _/]){{0,8}}(?:{KNOWN})\s{{0,8}}(?:[=:]\s{{0,8}})?(?:{NUMBER})(?![\w:/]|\.\d)", re.IGNORECASE
)
"""A line that begins with a metric."""
NO_METRICS = frozenset({
    "epoch", "train_epoch", "step", "steps", "iter", "iteration", "it", "eta", "v_num", "total", "batch", "global_step",
    "time", "elapsed", "data", "max", "line", "port", "pid", "rank", "seed", "max mem", "s/it", "it/s", "memory",
    "gpu",
})  # fmt: skip
MOST = 20
"""Metrics of one line."""
SUFFIXES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def metrics(text: str) -> dict[str, float]:
    """Names and finite numbers."""
    found: dict[str, float] = {}
    pairs = NAMED.findall(text)
    if len(pairs) < MOST:
        pairs += PLAIN.findall(text)
    for name, value in pairs[:MOST]:
        key, number = name.strip("._-/").lower().replace(" ", "_"), float(value)
        if key and key not in NO_METRICS and math.isfinite(number):
            found.setdefault(key, number)
    return found


def has_metrics(text: str) -> bool:
    return VALUE.search(text) is not None or PLAIN.search(text) is not None


def scaled(text: str) -> float:
    """The number in `1.3k`."""
    last = text[-1:]
    return float(text[:-1]) * SUFFIXES[last] if last in SUFFIXES else float(text)


def seconds(clock: str) -> float | None:
    """Of `01:30`, `2:01:30`; None of `?`."""
    days, _, rest = clock.rpartition(" day")
    parts = rest.lstrip("s, ").split(":")
    try:
        value = 0.0
        for part in parts:
            value = 60 * value + float(part)
        return value + (86400 * float(days) if days else 0)
    except ValueError:
        return None


BEFORE = frozenset(
    {"train", "training", "trainer", "running", "starting", "start", "begin", "beginning", "finished", "end"}
)
"""Words before a counter that make no sentence of it; so do a bracket, a colon, a time and a level."""


def opens(before: str) -> bool:
    """Whether what stands before a counter on its line is nothing, or what a logger puts there, and no sentence."""
    words = before.split()
    if not words:
        return True
    last = words[-1]
    return len(before) <= 120 and (
        not last[-1].isalpha() or last.isupper() or any(map(str.isdigit, last)) or last.lower() in BEFORE
    )
