"""Runs a Python module as a program on a pretend machine: on_fake_nvml.py FOLDER MODULE WORDS...

SOONER in the environment, such as "trainqueue.gpuwatch:PROCESSES=0.5 ...", sets seconds in modules.
"""

import importlib
import os
import runpy
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[0:1] = [str(TESTS.parent / "actors"), str(TESTS)]

from fakenvml import install  # noqa: E402  (the path is set above)
from machine import Machine  # noqa: E402

if __name__ == "__main__":
    folder, module = sys.argv[1:3]
    install(Machine(Path(folder)))
    for setting in os.environ.get("SOONER", "").split():
        where, _, seconds = setting.partition("=")
        home, _, name = where.partition(":")
        setattr(importlib.import_module(home), name, float(seconds))
    del sys.argv[:2]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
