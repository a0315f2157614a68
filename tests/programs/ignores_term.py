"""Ignores SIGTERM (and whatever else is asked politely) and lives on; with `stop` it also stops itself."""

from __future__ import annotations

import os
import signal
import sys

for polite in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(polite, signal.SIG_IGN)
print("ready", os.getpid(), flush=True)
if "stop" in sys.argv[1:]:
    os.kill(os.getpid(), signal.SIGSTOP)
while True:
    signal.pause()
