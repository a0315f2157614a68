"""Runs a Python module as a program on a pretend machine: on_fake_nvml.py FOLDER MODULE WORDS..."""

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
    del sys.argv[:2]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
