"""Takes memory of a GPU through the CUDA driver's own library, and gives it back at its end: a CUDA job without torch.

    cuda_hold.py --mib 2048 --seconds 3          hold so much for so long
    cuda_hold.py --mib 2048 --until FILE         hold it until this file is there (at most ten minutes)
    cuda_hold.py --mib 64 --fraction 0.4         so much of what the GPU has in all, and 64 MiB more
    cuda_hold.py --all                           take more than there is, and die of it as CUDA programs do
    cuda_hold.py --count                         print how many GPUs CUDA shows to this process, and end

It uses the first GPU that CUDA shows it. With --stamp FILE it writes a JSON object there: monotonic times of its first
instruction, of when it had its memory and of its last instruction, and the bytes that were free before and after.
"""

from __future__ import annotations

import time

FIRST = time.monotonic()

import argparse  # noqa: E402  (the first instruction is what is measured)
import ctypes  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
from pathlib import Path  # noqa: E402

LIBRARY = "libcuda.so.1"
MIB = 2**20
PATIENCE = 600.0
"""Seconds that `--until` waits at most."""


class Cuda:
    """The few calls that are needed. Raises RuntimeError with CUDA's own name of what went wrong."""

    def __init__(self) -> None:
        try:
            self.library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            msg = f"no CUDA here: {error}"
            raise RuntimeError(msg) from None
        self.do("cuInit", ctypes.c_uint(0))

    def do(self, name: str, *args: object) -> None:
        code = int(getattr(self.library, name)(*args))
        if code:
            msg = f"{self.text('cuGetErrorName', code)}: {self.text('cuGetErrorString', code)} ({name})"
            raise RuntimeError(msg)

    def text(self, function: str, code: int) -> str:
        """What the library calls an error."""
        found = ctypes.c_char_p()
        getattr(self.library, function)(ctypes.c_int(code), ctypes.byref(found))
        return (found.value or b"unknown error").decode()

    def count(self) -> int:
        found = ctypes.c_int()
        self.do("cuDeviceGetCount", ctypes.byref(found))
        return found.value

    def open(self) -> None:
        """A context on the first GPU."""
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self.do("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
        if hasattr(self.library, "cuCtxCreate_v2"):
            self.do("cuCtxCreate_v2", ctypes.byref(context), ctypes.c_uint(0), device)
        else:
            self.do("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
            self.do("cuCtxSetCurrent", context)

    def memory(self) -> tuple[int, int]:
        """Bytes that are free, and all."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self.do("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def take(self, count: int) -> None:
        """Bytes, and write to them."""
        place = ctypes.c_uint64()  # CUdeviceptr
        self.do("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(count))
        self.do("cuMemsetD8_v2", place, ctypes.c_ubyte(1), ctypes.c_size_t(count))
        self.do("cuCtxSynchronize")


def wait(seconds: float, until: str | None) -> None:
    """For so long, or until this file is there."""
    deadline = time.monotonic() + (PATIENCE if until else seconds)
    while time.monotonic() < deadline and not (until and Path(until).exists()):
        time.sleep(min(0.02, max(0.0, deadline - time.monotonic())))


def options(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Takes memory of a GPU and gives it back.")
    parser.add_argument("--mib", type=int, default=0, help="MiB to take")
    parser.add_argument("--fraction", type=float, default=0.0, help="and so much of all its memory")
    parser.add_argument("--seconds", type=float, default=0.0, help="hold it for so long")
    parser.add_argument("--until", metavar="FILE", help="or until this file is there")
    parser.add_argument("--all", action="store_true", help="more than there is")
    parser.add_argument("--stamp", metavar="FILE", help="where to write times and sizes")
    parser.add_argument("--count", action="store_true", help="only count GPUs")
    found = parser.parse_args(words)
    if found.mib < 0 or not 0 <= found.fraction <= 1 or found.seconds < 0:
        parser.error("sizes and times are not negative, and a fraction is at most 1")
    if found.all and (found.mib or found.fraction):
        parser.error("--all is all: leave --mib and --fraction out")
    if found.until and found.seconds:
        parser.error("either --seconds or --until")
    return found


def wanted(chosen: argparse.Namespace, total: int) -> int:
    """Bytes to take of a GPU with so many."""
    return 2 * total if chosen.all else chosen.mib * MIB + int(chosen.fraction * total)


def main() -> None:
    chosen = options()
    cuda = Cuda()
    if chosen.count:
        print(cuda.count())
        return
    cuda.open()
    free, total = cuda.memory()
    count = wanted(chosen, total)
    if count:
        cuda.take(count)
    told = {"pid": os.getpid(), "first": FIRST, "ready": time.monotonic(), "taken": count, "total": total}
    told |= {"free_before": free, "free_after": cuda.memory()[0]}
    print(f"holding {count // MIB} MiB", flush=True)
    wait(chosen.seconds, chosen.until)
    if chosen.stamp:
        write(Path(chosen.stamp), told)


def write(path: Path, told: dict[str, float]) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(told | {"last": time.monotonic()}), encoding="ascii")
    part.replace(path)


if __name__ == "__main__":
    main()
