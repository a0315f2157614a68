"""A job with memory on its GPUs (CUDA_VISIBLE_DEVICES) of a pretend machine: gpujob.py FOLDER BYTES [options]."""

import argparse
import os
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[0:1] = [str(TESTS.parent / "actors"), str(TESTS)]

from machine import Machine  # noqa: E402  (the path is set above)

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("memory", type=int)
parser.add_argument("--seconds", type=float, default=0.0, help="it lives so long")
parser.add_argument("--until", type=Path, help="or until this file exists")
parser.add_argument("--kept", type=Path, help="its memory stays in use after its death as long as this file exists")
parser.add_argument("--listed", type=float, default=0.0, help="the driver lists it for so long after its death")
parser.add_argument("--exit", type=int, default=0)

if __name__ == "__main__":
    chosen = parser.parse_args()
    machine, pid = Machine(chosen.folder), os.getpid()
    for uuid in filter(None, os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")):
        machine.process(uuid, chosen.memory, pid=pid, alive=True, kept=chosen.kept, listed=chosen.listed)
        print("on", uuid, flush=True)
    deadline = time.monotonic() + (600.0 if chosen.until else chosen.seconds)
    while time.monotonic() < deadline and not (chosen.until and chosen.until.exists()):
        time.sleep(0.005)
    sys.exit(chosen.exit)
