r"""Prints as training scripts do: `shows.py tqdm|trainer|epochs STEPS SECONDS [GATE]`.

Stops at step 20 until the file GATE is there, where one is named. `tqdm` says \r frames of a bar to stderr, behind
those of files that it loads; `trainer` is a bar with the dicts of Hugging Face's between them, and an evaluation;
`epochs` is a line of words for each.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path


def say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def bar(name: str, step: int, total: int, began: float) -> None:
    spent = time.monotonic() - began
    left, rate = ("?", "?it/s") if not step else (clock(spent / step * (total - step)), f"{step / spent:5.2f}it/s")
    name = f"{name}: " if name else ""
    drawn = f"{'█' * (10 * step // total):<10}"
    say(f"\r{name}{100 * step // total:3d}%|{drawn}| {step}/{total} [{clock(spent)}<{left}, {rate}]")


def shown(kind: str, step: int, steps: int, began: float) -> None:
    if kind == "epochs":
        if step:
            print(f"Epoch {step}/{steps} loss={1 / step:.4f}", flush=True)
        return
    bar("", step, steps, began)
    if kind == "trainer" and step and step % (steps // 4) == 0:
        print(f"{{'loss': {1 / step:.4f}, 'learning_rate': 5e-05, 'epoch': {step / 10}}}", flush=True)
        for at in range(6):
            bar("", at, 5, time.monotonic())
        print("\n{'eval_loss': 0.9, 'eval_runtime': 0.1, 'epoch': 1.0}", flush=True)


def main() -> None:
    kind, steps, seconds, *gate = sys.argv[1:]
    for part in range(5):
        bar("Loading checkpoint shards", part, 4, time.monotonic())
    say("\n")
    began = time.monotonic()
    for step in range(int(steps) + 1):
        shown(kind, step, int(steps), began)
        while step == 20 and gate and not Path(gate[0]).exists():
            time.sleep(0.01)
        time.sleep(float(seconds))
    say("\n")


if __name__ == "__main__":
    main()
