"""Progress from logs: microseconds of the processor a line, and what a job that prints costs the daemon.

`python tests/bench/all.py scan` prints it. Only trainqd itself is looked at; the job is a process of its own.
"""

from __future__ import annotations

import math
import os
import sys
import time
from typing import TYPE_CHECKING

from bench.idle import Look
from bench.shared import Row, serving, show, spec, until

from trainqueue.scan import Told, recognise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ORDINARY = (
    "2026-11-25 12:00:01,123 - INFO - __main__ - reading shard 12 of the data from /data/sets/web/part-00012.parquet",
    "/usr/lib/python3/torch/optim/lr_scheduler.py:62: UserWarning: verbose is deprecated, see the notes",
    "Some weights of the model checkpoint were not used when initializing: ['cls.predictions.bias']",
    "GPU memory: 10.2 GiB allocated, 12.0 GiB reserved",
)
HITS = {
    "tqdm": " 45%|████▌     | 45/100 [00:10<00:12,  4.30it/s, loss=0.1, lr=0.001]",
    "a dict": "{'loss': 0.5, 'grad_norm': 1.2, 'learning_rate': 5e-05, 'epoch': 1.2}",
    "Keras": "\x1b[1m45/100\x1b[0m \x1b[32m━━━━\x1b[0m\x1b[37m━━━━\x1b[0m \x1b[1m1s\x1b[0m 20ms/step - loss: 0.4000",
    "words": "2026-11-25 12:00:01,123 - INFO - Epoch 3/10 - loss: 0.4",
}
TIMES, SECONDS, SETTLE = 4_000, 10.0, 3.0
PRINTS = """
import sys, time
n, began = 0, time.monotonic()
while True:
    n += 1
    print(sys.argv[1].format(n, n // 10, 100 * n // 1000000), end=sys.argv[2], flush=True)
    time.sleep(max(0.0, began + n / float(sys.argv[3]) - time.monotonic()))
"""
PRINTED = {
    "that is silent": ("-", "\\n", "0.001"),
    "of 1,000 ordinary lines a second": (
        "INFO - reading shard {0} of the data from /data/sets/web/part.parquet",
        "\n",
        "1000",
    ),
    "of 1,000 frames of a bar a second": ("{2:3d}%|# | {0}/1000000 [00:10<00:12,  4.30it/s, loss=0.1]", "\r", "1000"),
    "of one frame of a bar a second": ("{2:3d}%|# | {0}/1000000 [00:10<00:12,  4.30it/s, loss=0.1]", "\r", "1"),
}


def used(act: Callable[[], object]) -> float:
    """Seconds of processor time, the least of five times: others may be in the way."""
    best = math.inf
    for _ in range(5):
        began = time.process_time()
        act()
        best = min(best, time.process_time() - began)
    return best


def micros(lines: Sequence[str]) -> float:
    """For each line, alone."""
    return used(lambda: [recognise(line) for _ in range(TIMES // len(lines)) for line in lines]) / TIMES * 1e6


def fed(lines: Sequence[str]) -> float:
    """Microseconds a line of all that is done with a round of 256 KiB."""
    text = "\n".join(lines) + "\n"
    data = (text * (262_144 // len(text.encode()) + 1)).encode()

    def round_of_it() -> None:
        told = Told()
        for at in range(0, len(data), 16_384):
            told.scanner.feed(data[at : at + 16_384], 1.0)
        told.map(1.0, 1.0)

    return used(round_of_it) / data.count(b"\n") * 1e6


def cost(text: str, end: str, rate: str) -> tuple[float, float]:
    """Milliseconds of the daemon's processor time a second, and its wake-ups."""
    with serving() as server:
        job = server.client.submit([spec(sys.executable, "-c", PRINTS, text, end, rate, gpus=0)])[0]["id"]
        until(lambda: server.client.status(job).state == "running")
        time.sleep(SETTLE)
        before = Look.at(server.pid)
        time.sleep(SECONDS)
        after = Look.at(server.pid)
    woken = sum(count - before.switches.get(name, 0) for name, count in after.switches.items())
    return 1000 * (after.ticks - before.ticks) / os.sysconf("SC_CLK_TCK") / SECONDS, woken / SECONDS


def main() -> None:
    rows = [Row("an ordinary line", micros(ORDINARY), "µs", 1.5), Row("and all that is done", fed(ORDINARY), "µs", 2.5)]
    for name, line in HITS.items():
        rows.append(Row(f"a hit: {name}", micros([line]), "µs", 5.0))
        rows.append(Row("and all that is done", fed([line]), "µs", 10.0))
    for name, printed in PRINTED.items():
        busy, woken = cost(*printed)
        rows += [Row(f"a job {name}", busy, "ms/s"), Row("its wake-ups", woken, "/s")]
    show("scan", "none", rows, "of the daemon with one job: processor time, context switches")


if __name__ == "__main__":
    main()
