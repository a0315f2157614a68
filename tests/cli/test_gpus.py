"""`gpus` and what other commands tell of GPUs, as people see it: pretend answers, real processes and terminals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from commands import Cli
from pretend import GIB, Pretender, gpu, process
from support import Daemon

from trainqueue.cli.gpus import state
from trainqueue.cli.screen import cells, folded, yielding
from trainqueue.sizes import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainqueue.home import Home

LOST = "the GPU is lost (Xid 79); restart the machine"
ROWS = [
    gpu(0),
    gpu(1, utilization=97.0, power=431.2, temperature=71.0, memory_used=9 * GIB, jobs=[3, 4]),
    gpu(2, memory_used=int(6.6 * GIB), foreign=[process(7, "ann", 0.4), process(4242, "eve", 6.1)]),
    gpu(3, waiting_for_memory=True),
    gpu(4, healthy=False, why=LOST, memory_used=None, utilization=None, temperature=None, power=None),
    gpu(5, enabled=False),
    gpu(6, kept_for=7),
]
STATES = [
    "free",
    "job 3, 4",
    "used by eve: python (pid 4242, 6.1 GiB) and 1 other",
    "memory not back",
    f"unhealthy: {LOST}",
    "disabled",
    "kept for job 7",
]


@pytest.fixture
def pretender(home: Home) -> Iterator[Pretender]:
    made = Pretender(home)
    with made.serving():
        yield made


@pytest.fixture
def shown(pretender: Pretender) -> Cli:
    return Cli(Daemon(pretender.home))


def test_a_row_says_what_a_job_would_meet(shown: Cli, pretender: Pretender) -> None:
    pretender.answers["gpus"] = {"gpus": ROWS}
    head, *rows = [line.split("\t") for line in shown("gpus").stdout.splitlines()]
    assert head == ["GPU", "NAME", "MEMORY", "UTIL", "TEMP", "POWER", "JOBS", "STATE"]
    assert [row[-1] for row in rows] == STATES
    assert rows[1] == ["1", "RTX 4090", "9.0/24.0 GiB", "97%", "71°C", "431 W", "3,4", "job 3, 4"]
    assert rows[4][2:6] == ["-/24.0 GiB", "-", "-", "-"]


def test_nothing_is_cut_on_a_terminal_of_80_columns(shown: Cli, pretender: Pretender) -> None:
    pretender.answers["gpus"] = {"gpus": ROWS}
    lines = shown.on_a_terminal("gpus").splitlines()
    assert max(map(cells, lines)) <= 80
    at = lines[0].index("STATE")
    told = " ".join(line[at:].strip() for line in lines[1:])
    assert told == " ".join(STATES)
    assert {line[: at - 2].strip().partition(" ")[0] for line in lines[1:]} == {*"0123456", ""}


DESKTOP = ("/usr/lib/xorg/Xorg :0 -core", "firefox", "/opt/firefox/firefox -contentproc 7")


def test_what_is_ignored_is_said_once_below_the_table(shown: Cli, pretender: Pretender) -> None:
    desktop = [process(7, "ann", 0.5) | {"command": name} for name in DESKTOP]
    unknown = [process(4242, None, None)]
    pretender.answers["gpus"] = {"gpus": [gpu(0, ignored=desktop), gpu(1), gpu(2, ignored=unknown)]}
    told = shown("gpus")
    assert len(told.stdout.splitlines()) == 4, "a script reads the table alone"
    assert told.stderr == "ignored on GPU 0: Xorg, firefox (1.5 GiB)\nignored on GPU 2: pid 4242\n"
    assert "ignored on GPU 0: Xorg, firefox (1.5 GiB)" in shown.on_a_terminal("gpus")


def test_states_are_told_together() -> None:
    several = gpu(0, enabled=False, jobs=[3], foreign=[process(9, None, None)], kept_for=8)
    assert state(gpu(0, foreign=[process(9, "eve", None) | {"command": "/usr/bin/python3 train.py --lr 1"}])) == (
        "used by eve: python3 (pid 9)"
    )
    assert state(several) == "disabled; job 3; used by somebody (pid 9); kept for job 8"
    assert state(gpu(0, healthy=False)) == "unhealthy"
    assert state(gpu(0, healthy=False, why="GPU 0 waits for it")) == "unhealthy: waits for it"


def test_the_daemon_s_verdict_is_told_whatever_else_is_known() -> None:
    mute = "the driver does not tell which processes are on GPU 0"
    assert state(gpu(0, use="foreign", why=mute)) == mute
    assert state(gpu(0, use="foreign")) == "used by nobody knows whom"
    assert state(gpu(0, use="memory", why="GPU 0: 78 GiB are in use")) == "GPU 0: 78 GiB are in use"
    assert state(gpu(0, use="unhealthy")) == "unhealthy"
    assert state(gpu(0, use="reserved", kept_for=7)) == "kept for job 7"
    assert state(gpu(0, use="held", jobs=[3])) == "job 3"
    assert state(gpu(0, use="free")) == "free"


def test_a_driver_in_trouble_is_a_sentence(shown: Cli, pretender: Pretender) -> None:
    sentence = "the NVIDIA driver and its library differ in version: restart the machine"
    pretender.answers["gpus"] = {"gpus": [], "trouble": sentence}
    told = shown("gpus")
    assert (told.returncode, told.stdout) == (0, sentence + "\n")
    pretender.answers["gpus"] = {"gpus": []}
    assert "trainq-cli doctor" in shown("gpus").stdout


def test_disable_and_enable(shown: Cli, pretender: Pretender) -> None:
    pretender.answers |= {"disable": {"gpus": [gpu(2, enabled=False)]}, "enable": {"gpus": [gpu(0)]}}
    done = shown("gpus", "--disable", "2", "--disable", "4-6,GPU-8d3f", "--enable", "0")
    assert done.returncode == 0, done.stderr
    asked = [(request["op"], request["gpus"]) for request in pretender.asked if request["op"] != "ping"]
    assert asked == [("disable", [2, 4, 5, 6, "GPU-8d3f"]), ("enable", [0])]
    assert [line.split("\t")[-1] for line in done.stdout.splitlines()] == ["STATE", "disabled", "free"]
    assert [one["index"] for one in shown.json("gpus", "--disable", "2", "--enable", "0")["gpus"]] == [2, 0]


@pytest.mark.parametrize("words", ["--disable x,", "--disable 3-1", "--disable 1 --enable 0-2", "--disable 1,1"])
def test_wrong_usage_of_disable_sends_nothing(shown: Cli, pretender: Pretender, words: str) -> None:
    assert shown("gpus", *words.split()).returncode == 2
    assert pretender.asked == []


def test_a_refusal_is_one(shown: Cli) -> None:
    assert shown("gpus", "--disable", "77").returncode == 1


JOB: dict[str, Any] = {
    "id": 5,
    "name": "train",
    "state": "queued",
    "cause": None,
    "why": "GPU 0 is used by eve (pid 4242, 6.1 GiB)",
    "why_code": "gpu-foreign",
    "position": 1,
    "stopping": False,
    "run_time": None,
    "progress": None,
    "exit_code": None,
    "ended_at": None,
    "gpu_memory": "auto",
    "gpu_share": int(6.1 * GIB),
    "gpu_min_memory": 40 * GIB,
    "peak_memory": 512 * 2**20,
    "cwd": "/",
    "submitted_at": 1e9,
    "gpu_seconds": 3723.0,
    "waited": {"position": 61.0, "gpu-foreign": 3600.0},
}


def test_a_job_in_full_is_for_people(shown: Cli, pretender: Pretender) -> None:
    pretender.answers["status"] = {"job": JOB}
    told = dict(line.split("\t") for line in shown("status", "5").stdout.splitlines())
    sizes = [told[name] for name in ("gpu_memory", "gpu_share", "gpu_min_memory", "peak_memory")]
    assert sizes == ["auto", "6.1 GiB", "40 GiB", "512 MiB"]
    assert (told["gpu_seconds"], told["waited"]) == ("1:02:03", "gpu-foreign 1:00:00, position 1:01")


def test_history_shows_the_peak(shown: Cli, pretender: Pretender) -> None:
    pretender.answers["jobs"] = {"jobs": [JOB | {"state": "completed", "ended_at": 1e9, "exit_code": 0}], "more": False}
    assert [line.split("\t")[-1] for line in shown("history").stdout.splitlines()] == ["PEAK", "512 MiB"]


def test_the_queue_does_not_cut_what_a_job_waits_for(shown: Cli, pretender: Pretender) -> None:
    queue: dict[str, Any] = {"paused": False, "pause_reason": None, "draining": False, "running": [], "counts": {}}
    pretender.answers["queue"] = queue | {"queued": [JOB | {"name": "long " * 20}]}
    for columns, height in ((80, 2), (60, 3)):
        lines = shown.on_a_terminal("queue", columns=columns).splitlines()
        assert (len(lines), max(map(cells, lines)) <= columns) == (height, True)
        at = lines[0].index("WHY")
        assert " ".join(line[at:] for line in lines[1:]) == JOB["why"]


def test_stats_say_what_each_gpu_did_and_why_it_did_not(shown: Cli, pretender: Pretender) -> None:
    held = {
        "id": "GPU-0",
        "index": 0,
        "held": 7325.5,
        "idle": {"gpu-memory": 3.2, "gpu-foreign": 65.0, "starting": 0.4},
    }
    pretender.answers["stats"] = {"counts": {"running": 1}, "gpu_seconds_used": 7325.5, "gpus": [held]}
    *figures, gap, head, row = shown("stats").stdout.splitlines()
    assert ("gpu_seconds_used\t7325.5" in figures, gap) == (True, "")
    assert head.split("\t") == ["GPU", "HELD", "IDLE", "WHY"]
    assert row.split("\t") == ["0", "2:02:05", "1:08", "gpu-foreign 1:05, gpu-memory 0:03"]


def test_a_submit_says_what_its_gpu_lacks(shown: Cli, pretender: Pretender) -> None:
    pretender.answers |= {"submit": {"jobs": [{"id": 5, "state": "queued", "position": 1}]}, "status": {"job": JOB}}
    sentence = "queued (position: 1): GPU 0 is used by eve (pid 4242, 6.1 GiB)"
    assert sentence in shown.on_a_terminal("submit", "--no-start", "--", "true")
    pretender.answers["status"] = {"job": JOB | {"why_code": "position", "why": "next in line"}}
    assert "next in line" not in shown.on_a_terminal("submit", "--no-start", "--", "true")


WHOLE = "no earlier run tells how much memory it needs, so it gets whole GPUs this time"


@pytest.mark.parametrize(
    ("memory", "state", "share", "said"),
    [
        ("auto", "pending", None, WHOLE),
        ("auto", "queued", None, WHOLE),
        ("auto", "running", 6 * GIB, ""),
        ("auto", "completed", None, ""),
        ("6GiB", "running", None, ""),
    ],
)
def test_the_first_run_with_auto_is_said_to_get_whole_gpus(
    shown: Cli, pretender: Pretender, memory: str, state: str, share: int | None, said: str
) -> None:
    made = {"id": 5, "state": "pending", "position": None}
    pretender.answers |= {"submit": {"jobs": [made]}, "status": {"job": JOB | {"state": state, "gpu_share": share}}}
    words = ("submit", "--no-start", "--gpu-memory", memory, "--", "true")
    told = shown.on_a_terminal(*words, columns=200)
    assert (said in told, WHOLE in told) == (True, bool(said))
    assert shown(*words).stdout == "5\n"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("", {}),
        ("--gpus 2", {"gpus": 2}),
        ("--gpu 0,2", {"gpus": 2, "gpu_from": [0, 2]}),
        ("--gpu GPU-8d3f --gpus 1", {"gpus": 1, "gpu_from": ["GPU-8d3f"]}),
        ("--gpu-any 0,1,3 --gpus 2", {"gpus": 2, "gpu_from": [0, 1, 3]}),
        ("--gpu-name H100 --gpu-min-memory 40GiB", {"gpu_name": "H100", "gpu_min_memory": 40 * GIB}),
        ("--gpu-memory auto", {"gpu_memory": "auto"}),
        ("--gpu-memory 8GB", {"gpu_memory": 8 * 10**9}),
        ("--gpus 0", {"gpus": 0}),
    ],
)
def test_what_is_asked_for_is_sent(shown: Cli, pretender: Pretender, words: str, wanted: dict[str, Any]) -> None:
    pretender.answers["submit"] = {"jobs": [{"id": 5, "state": "pending", "position": None}]}
    sent = shown("submit", "--no-start", *words.split(), "--", "true")
    assert sent.returncode == 0, sent.stderr
    (spec,) = pretender.asked[0]["jobs"]
    assert {name: value for name, value in spec.items() if name.startswith("gpu")} == wanted


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--gpus 0 --gpu-memory 8GiB", "--gpus 0 asks for no GPU, and --gpu-memory for one"),
        ("--gpus 0 --gpu 1", "--gpus 0 asks for no GPU, and --gpu for one"),
        ("--gpus 3 --gpu 0,2", "--gpu names 2 and --gpus asks for 3"),
        ("--gpu 0 --gpu-any 0,1", "give one of the two"),
        ("--gpus 3 --gpu-any 0,1", "--gpus asks for 3 and --gpu-any names 2"),
        ("--gpu 0,0", "names GPU 0 twice"),
        ("--gpu -1", "is no GPU"),
        ("--gpu-memory 8", "'8' has no unit; write 8GiB or 8GB"),
        ("--gpu-memory 0GiB", "is no size that a machine could have"),
        ("--gpu-min-memory auto", "is no size"),
    ],
)
def test_contradictions_are_wrong_usage(shown: Cli, pretender: Pretender, words: str, sentence: str) -> None:
    refused = shown("submit", "--no-start", *words.split(), "--", "true")
    assert refused.returncode == 2
    assert sentence in " ".join(refused.stderr.split())
    assert pretender.asked == []


def test_edit_takes_the_same_forms(shown: Cli, pretender: Pretender) -> None:
    pretender.answers["edit"] = {"job": {"id": 5, "state": "queued"}}
    changes = ("gpu_memory=6GiB", "gpu_min_memory=40GB", "gpu_from=0,2-3", "gpu_name=4090")
    assert shown("edit", "5", *(word for change in changes for word in ("--set", change))).returncode == 0
    wanted = {"gpu_memory": 6 * GIB, "gpu_min_memory": 40 * 10**9, "gpu_from": [0, 2, 3], "gpu_name": "4090"}
    assert pretender.asked[0]["set"] == wanted
    for change, value in (("gpu_memory=auto", "auto"), ("gpu_from=0", [0]), ("gpu_from=[1]", [1])):
        assert shown("edit", "5", "--set", change).returncode == 0
        assert [*pretender.asked[-1]["set"].values()] == [value]
    refused = shown("edit", "5", "--set", "gpu_memory=8")
    assert (refused.returncode, "write 8GiB or 8GB" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ("gpu=0,2", {"gpus": 2, "gpu_from": [0, 2]}),
        ("gpu=GPU-8d3f gpus=1", {"gpus": 1, "gpu_from": ["GPU-8d3f"]}),
        ("gpu_any=0-2 gpus=2", {"gpus": 2, "gpu_from": [0, 1, 2]}),
        ("gpu_any=1", {"gpu_from": [1]}),
        ("gpu=0 gpus=2", "--gpu names 1 and --gpus asks for 2"),
        ("gpu=0 gpu_any=1", "give one of the two"),
        ("gpu=0 gpu_from=1", "give one of the three"),
        ("gpu=-1", "is no GPU"),
    ],
)
def test_edit_takes_gpus_as_submit_does(shown: Cli, pretender: Pretender, changes: str, wanted: object) -> None:
    pretender.answers["edit"] = {"job": {"id": 5, "state": "queued"}}
    done = shown("edit", "5", *(word for change in changes.split() for word in ("--set", change)))
    if isinstance(wanted, str):
        assert (done.returncode, pretender.asked) == (2, [])
        assert wanted in " ".join(done.stderr.split())
    else:
        assert done.returncode == 0, done.stderr
        assert pretender.asked[0]["set"] == wanted


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (512 * 2**20, "512 MiB"), (int(6.1 * GIB), "6.1 GiB"), (80 * GIB, "80 GiB")]
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_folding_loses_nothing_and_fits() -> None:
    for text in ("one two three", "word" * 20, "文字" * 9 + " end", ""):
        lines = folded(text, 10)
        assert max(map(cells, lines)) <= 10
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert yielding([3, 60, 20], 80, 1) == [3, 53, 20]
    assert yielding([3, 60, 90], 80, 1) == [3, 12, 61]


def test_json_is_what_the_daemon_says(shown: Cli, pretender: Pretender) -> None:
    pretender.answers["gpus"] = {"gpus": ROWS, "trouble": None}
    assert json.loads(shown("gpus", "--json").stdout) == {"gpus": ROWS, "trouble": None}
