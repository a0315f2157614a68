"""The programs of the hardware tests, as far as they can be tried without a GPU: against a stub of CUDA's library."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hardware.rig import MIB, Device, Row, hold, program, stamp

if TYPE_CHECKING:
    from pathlib import Path

STUB = r"""
#include <stddef.h>
#include <string.h>
typedef int R; static size_t total = 8192ul << 20, used = 300ul << 20;
R cuInit(unsigned flags) { return flags ? 1 : 0; }
R cuDeviceGetCount(int *count) { *count = 1; return 0; }
R cuDeviceGet(int *device, int at) { *device = 5; return at ? 101 : 0; }
R cuCtxCreate_v2(void **context, unsigned flags, int device) {
    *context = &used;
    return device == 5 && !flags ? 0 : 101;
}
R cuMemGetInfo_v2(size_t *free, size_t *all) { *free = total - used; *all = total; return 0; }
R cuMemAlloc_v2(unsigned long long *place, size_t count) {
    if (used + count > total) return 2;
    used += count; *place = 0x7f0000000000ull; return 0;
}
R cuMemsetD8_v2(unsigned long long place, unsigned char byte, size_t count) {
    return place == 0x7f0000000000ull && byte == 1 && count ? 0 : 1;
}
R cuCtxSynchronize(void) { return 0; }
R cuGetErrorName(R code, const char **text) { *text = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR"; return 0; }
R cuGetErrorString(R code, const char **text) { *text = code == 2 ? "out of memory" : "another"; return 0; }
"""


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the stub is found as libcuda.so.1: 8 GiB, of which 300 MiB are in use."""
    compiler, folder = shutil.which("cc"), tmp_path_factory.mktemp("cuda")
    if compiler is None:
        pytest.skip("no C compiler")
    (folder / "stub.c").write_text(STUB, encoding="ascii")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libcuda.so.1", folder / "stub.c"], check=True)
    return {**os.environ, "LD_LIBRARY_PATH": str(folder)}


def run(command: list[str], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_it_takes_what_it_is_told_and_stamps_it(stub: dict[str, str], tmp_path: Path) -> None:
    done = run(hold(mib=64, fraction=0.25, seconds=0.2, stamp=tmp_path / "stamp"), stub)
    assert (done.returncode, done.stdout) == (0, "holding 2112 MiB\n"), done.stderr
    told = stamp(tmp_path / "stamp")
    assert (told["taken"], told["total"], told["free_before"]) == (2112 * MIB, 8192 * MIB, 7892 * MIB)
    assert told["free_before"] - told["free_after"] == told["taken"]
    assert told["first"] <= told["ready"] <= told["last"] - 0.2


def test_it_holds_until_it_is_told(stub: dict[str, str], tmp_path: Path) -> None:
    with subprocess.Popen(hold(mib=1, until=tmp_path / "gate"), env=stub, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"holding 1 MiB\n"
        assert holder.poll() is None
        (tmp_path / "gate").touch()
    assert holder.returncode == 0


def test_it_dies_of_too_much_as_cuda_programs_do(stub: dict[str, str]) -> None:
    died = run(hold(all=True), stub)
    assert died.returncode == 1
    assert died.stderr.splitlines()[-1] == "RuntimeError: CUDA_ERROR_OUT_OF_MEMORY: out of memory (cuMemAlloc_v2)"


def test_it_counts(stub: dict[str, str]) -> None:
    assert run(hold(count=True), stub).stdout == "1\n"


@pytest.mark.parametrize(
    "words", [["--mib", "-1"], ["--fraction", "1.5"], ["--all", "--mib", "1"], ["--seconds", "1", "--until", "x"]]
)
def test_wrong_words_are_refused(words: list[str]) -> None:
    refused = run(program("cuda_hold.py", *words))
    assert (refused.returncode, "usage:" in refused.stderr) == (2, True)


def test_without_cuda_it_says_so() -> None:
    env = {**os.environ, "LD_LIBRARY_PATH": ""}
    if run(hold(count=True), env).returncode == 0:
        pytest.skip("here is CUDA")
    assert "libcuda.so.1" in run(hold(count=True), env).stderr or "CUDA_ERROR" in run(hold(count=True), env).stderr


def test_the_table_can_be_kept() -> None:
    device = Device(0, "GPU-0", "NVIDIA H100 80GB HBM3", 80 * 1024 * MIB, "550.54.14")
    assert str(device) == "GPU 0: NVIDIA H100 80GB HBM3, 80.0 GiB, driver 550.54.14"
    assert str(Row("hand-over", "12 ms", "bare: 9 ms")).split() == ["hand-over", "12", "ms", "bare:", "9", "ms"]
