"""Dies by SIGKILL in the middle of a line."""

from __future__ import annotations

import os
import signal

os.write(1, b"epoch 1 loss=0.5\nepoch 2 lo")
os.kill(os.getpid(), signal.SIGKILL)
