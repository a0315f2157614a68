"""trainqd, and its runners, by a wall clock that a test sets: argv is the file with its offset in seconds, and options.

The kernel's clock belongs to all, so the two places where trainq reads it are led astray here. Like the kernel, the
alarm follows when the clock is set, which a thread looks for.
"""

from __future__ import annotations

import runpy
import sys
import threading
import time
from pathlib import Path
from typing import Any

RUNNER = """
import os, runpy, sys, time
true = time.time
time.time = lambda: true() + float(open({ahead!r}).read())
sys.path[0] = {runner!r}
runpy.run_path({runner!r} + "/__main__.py", run_name="__main__")
os._exit(0)
"""


def main() -> None:
    ahead = Path(sys.argv.pop(1))
    true = time.time
    time.time = lambda: true() + float(ahead.read_text(encoding="ascii"))

    from trainqueue import clock, service
    from trainqueue.launch import local

    class Stepped(clock.WallClock):
        at: float | None = None

        def wake_at(self, at: float) -> None:
            self.at = at
            super().wake_at(at - (time.time() - true()))

    def follow(stepped: Stepped) -> None:
        while stepped.fd >= 0:
            time.sleep(0.02)
            if stepped.at is not None:
                stepped.wake_at(stepped.at)

    def made() -> Stepped:
        stepped = Stepped()
        threading.Thread(target=follow, args=(stepped,), daemon=True).start()
        return stepped

    composition: Any = service
    composition.WallClock = made
    runner = ahead.with_name("runner")
    runner.mkdir(exist_ok=True)
    text = RUNNER.format(ahead=str(ahead), runner=local.RUNNER)
    (runner / "__main__.py").write_text(text, encoding="utf-8")
    local.RUNNER = str(runner)
    runpy.run_module("trainqueue.daemon", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
