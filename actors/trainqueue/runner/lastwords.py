"""What the end of a log says of memory. Pure: text in, a finding out.

The exception that comes last is why a job failed: one that ran out of memory, caught that, went on and then failed of
something else did not fail of memory. Three kinds of exception do not count as something else: those that only report
that another process has failed, those of which Python says itself that the one above is their cause, and those that
end no program (of a thread, at the exit). A text that is made to be slow costs some 10 ms.
"""

import re
from typing import NamedTuple


class Finding(NamedTuple):
    """`kind` is "gpu" or "host" (that memory ran out) or "other" (it failed of something else); `line` says so."""

    kind: str
    line: str


LONGEST = 2000
"""Characters of a line that are looked at."""
MOST = 2000
"""Lines from the end that are looked at."""
NEAR = {True: 60, False: 10}
"""So many lines may follow without an exception: on one that names what ran out, and on one that mentions it only."""
COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PREFIX = re.compile(
    r"(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,\d]*Z? )?"  # a collector's time
    r"((?:\[(?:rank|default)?\d+(?:,\d+)?\](?:<std\w{3}>)?: ?"  # PyTorch, torchrun, mpirun
    r"|\d{1,4}: |\((?:\w+ )?pid=[^)]{1,80}\) |std(?:err|out): | +[|+] )*)"  # srun, Ray, accelerate, exception groups
)
TRACEBACK = re.compile(r"Traceback \(most recent call last\):\s*$")
EXCEPTION = re.compile(
    r"(?:[A-Za-z_]\w*\.)*\w+(?:Error|Exception|Interrupt)(?:\([\w.]*\))?(?: \(see above for traceback\))?(?::|\s*$)"
    r"|terminate called after throwing an instance of "
)
NAME = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?::|\s*$)")
REPORT = re.compile(
    r"(?:\w+\.)*(?:ChildFailedError|CalledProcessError|ProcessRaisedException|ProcessExitedException|RayTaskError"
    r"|RayActorError|BrokenProcessPool|TerminatedWorkerError|Dist\w+Error|SignalException|SystemExit)\b"
    r"|RuntimeError: (?:DataLoader worker \(pid|NCCL |Pin memory thread exited|\[\S*/gloo/)"
    r"|terminate called after throwing an instance of 'c10::Dist"
)
CHAINED = "The above exception was the direct cause of the following exception"
ENDS_NOTHING = re.compile(r"Exception ignored (?:in|on|while)|Exception in (?:thread|callback)|Error in atexit")
NOISE = re.compile(r"wandb: |.{0,200}\d%\|")

GPU = re.compile(
    r"(?:CUDA|HIP|XPU|NPU|MPS backend) out of memory[.,]? .{0,40}Tried to allocate"
    r"|(?:CUDA|HIP)(?: driver)? error: out of memory|cudaErrorMemoryAllocation|hipErrorOutOfMemory"
    r"|Cuda failure (?:\d+ )?'out of memory'"
    r"|\b(?:CUBLAS|CUDNN|CUSOLVER|HIPBLAS)_STATUS_ALLOC_FAILED"
    r"|OOM when allocating tensor(?!.{0,400}(?:device:CPU:|by allocator \w*cpu))"
    r"|(?:RESOURCE_EXHAUSTED|Resource exhausted): (?:Out of memory|Failed to allocate)"
    r"|failed to allocate memory \[Op:(?!.{0,400}device:CPU:)|cudaMalloc failed: out of memory"
)
HOST = re.compile(
    r"DefaultCPUAllocator: (?:can't allocate|not enough) memory|\bstd::bad_alloc\b"
    r"|OOM when allocating tensor|Unable to allocate [\d.]+ \w{1,5} for an array"
)
GPU_EXCEPTION = re.compile(
    r"(?:\w+\.)*(?:OutOfMemoryError|CUDAOutOfMemoryError)\b|terminate .{0,60}OutOfMemoryError"
    r"|.{0,400}(?:CUDA_ERROR_OUT_OF_MEMORY|(?:CUDA|HIP) out of memory|No executable batch size found)"
)
HOST_EXCEPTION = re.compile(
    r"(?:\w+\.)*\w*MemoryError\b(?<!OutOfMemoryError)|OSError: \[Errno 12\]|java\.lang\.OutOfMemoryError"
    r"|(?:ray\.\w+\.)?OutOfMemoryError: Task was killed"
)
HINTS = (
    "out of memory",
    "outofmemory",
    "out_of_memory",
    "memoryerror",
    "memoryallocation",
    "allocate memory",
    "not enough memory",
    "unable to allocate",
    "failed to allocate",
    "bad_alloc",
    "alloc_failed",
    "oom when",
    "[errno 12]",
    "executable batch size",
)
"""Without any of these, in whatever case, nothing here finds that memory ran out."""


def may_say(text: str) -> bool:
    """A quick look; False when `listen` would not find that memory ran out."""
    lower = text.lower()
    return any(hint in lower for hint in HINTS)


def listen(text: str) -> Finding | None:
    """The reason that stands at the end; None when it says nothing of a failure."""
    ear = Ear()
    for raw in text.split("\n")[-MOST:]:
        shown = raw.rstrip("\r").rpartition("\r")[2]  # of a progress bar, what stands there at last
        ear.hear(COLOUR.sub("", shown[:LONGEST]))
    return ear.found


class Ear:
    """Hears a log line by line; `found` is the finding so far."""

    def __init__(self) -> None:
        self.found: Finding | None = None
        self.named = False
        """Whether an exception said so; else a line that only mentions it."""
        self.since = 0
        self.open: set[str] = set()
        """Who (a rank, "" where nobody says) is in the middle of a traceback; its next full line is the exception."""
        self.excused: set[str] = set()
        """Whose next exception does not count as something else."""

    def hear(self, raw: str) -> None:
        prefix = PREFIX.match(raw)
        who = prefix[1] if prefix else ""
        line = raw[prefix.end() :] if prefix else raw
        if TRACEBACK.search(line):
            self.open.add(who)
        elif line.startswith(CHAINED) or ENDS_NOTHING.match(line):
            self.excused.add(who)
        elif line[:1] in " \t│" and not line.lstrip().startswith("what():"):
            return  # a frame, a box, a table
        elif (who in self.open and NAME.match(line)) or EXCEPTION.match(line):
            self.exception(who, line)
        else:
            self.other_line(line)

    def exception(self, who: str, line: str) -> None:
        excused = who in self.excused
        self.open.discard(who)
        self.excused.discard(who)
        kind = memory_in(line) or memory_named(line)
        if kind is not None:
            self.note(Finding(kind, line), named=True)
        elif REPORT.match(line):
            self.since = 0  # what another process died of stands above, however far
        elif not excused:
            self.note(Finding("other", line), named=True)

    def other_line(self, line: str) -> None:
        """The message of an exception may have several; else it is a mention."""
        kind = memory_in(line)
        if kind is not None:
            said = self.named and self.found is not None and self.found.kind == kind
            if not said:
                self.note(Finding(kind, line), named=self.named and self.since < NEAR[False])
        elif line.strip() and not NOISE.match(line):
            self.since += 1
            if self.found is not None and self.found.kind != "other" and self.since > NEAR[self.named]:
                self.found = None  # it went on

    def note(self, finding: Finding, *, named: bool) -> None:
        self.found, self.named, self.since = finding, named, 0


def memory_in(line: str) -> str | None:
    """Which memory ran out by this line, whoever says it."""
    if GPU.search(line):
        return "gpu"
    return "host" if HOST.search(line) else None


def memory_named(line: str) -> str | None:
    """Which memory ran out by this exception."""
    if HOST_EXCEPTION.match(line):
        return "host"
    return "gpu" if GPU_EXCEPTION.match(line) else None
