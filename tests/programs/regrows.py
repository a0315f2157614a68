"""Is never the same process for long: each one forks its successor and dies. The first one ends at once."""

from __future__ import annotations

import os
import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
first = True
while True:
    if os.fork():
        if first:
            print("ready", flush=True)
        os._exit(0)
    first = False
    os.setsid()
