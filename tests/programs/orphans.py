"""Makes so many orphans that end at once, and lives on: somebody has to bury them. `orphans.py N`."""

from __future__ import annotations

import os
import signal
import sys

for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
print("ready", flush=True)
signal.pause()
