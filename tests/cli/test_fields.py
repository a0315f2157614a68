"""The table of a job's fields: `submit`, `--set`, the editor and `status` take and show each of them alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec
import pytest

from trainqueue.cli.fields import ALIASES, FIELDS, default, option
from trainqueue.cli.submit import submit
from trainqueue.cli.values import changes_of
from trainqueue.core.spec import JobSpec

if TYPE_CHECKING:
    from commands import Cli

    from trainqueue.client import Client

SAMPLES: dict[str, Any] = {
    "name": "größe",
    "command": ["echo", "a b", "it's"],
    "cwd": "/tmp",  # noqa: S108
    "umask": 0o022,
    "env": {"A": "b,c"},
    "env_extra": {"A": "-Da=b, C=d e"},
    "gpus": 2,
    "gpu_memory": 2**33,
    "gpu_from": [0, "GPU-8d3f"],
    "gpu_name": "H100",
    "gpu_min_memory": 500_000_000,
    "priority": -3,
    "after": [1, 2],
    "after_any": [3],
    "after_failed": [4],
    "after_group": ["sweep1"],
    "keep": True,
    "not_before": 4086604800.0,
    "hold": True,
    "time_limit": 5400.0,
    "grace": 0.5,
    "warn": 86461.0,
    "retries": {"exit": 2, "reboot": 1},
    "retry_delay": 30.0,
    "retry_backoff": 1.5,
    "retry_place": "back",
    "resume_args": ["--resume", "auto"],
    "stall_timeout": 1800.0,
    "stall_action": "stop",
    "memory_limit": 12345,
    "tags": {"a": "b", "c": "d,e"},
    "group": "g",
    "max_running": 3,
    "lane": "debug",
    "snapshot": "/home/s",
}


def test_every_field_is_in_the_table() -> None:
    assert {*SAMPLES} == {*FIELDS} == {*JobSpec.__struct_fields__}
    for field in FIELDS.values():
        assert not field.of or default(field.of) in (None, {})
    assert {name: default(name) for name, field in FIELDS.items() if field.of} == {
        name: field.idle for name, field in FIELDS.items() if field.of
    }


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_shown_can_be_given(name: str) -> None:
    form, value = FIELDS[name].form, SAMPLES[name]
    assert form.read(form.show(value)) == value
    assert form.take(form.give(value)) == value
    msgspec.convert({"command": ["x"], "cwd": "/", name: value}, JobSpec)


def test_each_option_has_the_form_of_its_field() -> None:
    """But for those that are given one by one, or that mean something by themselves."""
    params = {option: param for param in submit.params for option in param.opts}
    own = {"--cwd", "--snapshot", "--env", "--env-extra", "--gpu or --gpu-any", "--tag", "--after-group"}
    for name in FIELDS:
        if option(name) in params and option(name) not in own | {"--hold", "--keep", "--resume-args"}:
            assert params[option(name)].type is FIELDS[name].form, name
    for alias, name in ALIASES.items():
        assert params[f"--{alias}"].name == name


SET: list[tuple[list[str], dict[str, Any]]] = [
    (["command=echo hi"], {"command": ["echo", "hi"]}),
    (["command=echo 'a b'"], {"command": ["echo", "a b"]}),
    (['command=["echo", "a b"]'], {"command": ["echo", "a b"]}),
    (["command=[ -f x ]"], {"command": ["[", "-f", "x", "]"]}),
    (["resume_args=--resume auto"], {"resume_args": ["--resume", "auto"]}),
    (["tags=a=b,c=d"], {"tags": {"a": "b", "c": "d"}}),
    (["tag=a=b", "tag=c=d,e"], {"tags": {"a": "b", "c": "d,e"}}),
    (["env=A=-Da=1,b=2", "env=B=2"], {"env_extra": {"A": "-Da=1,b=2", "B": "2"}}),
    (["env_extra=A=x=y"], {"env_extra": {"A": "x=y"}}),
    (['env={"A": "1", "B": null}'], {"env_extra": {"A": "1", "B": None}}),
    (["umask=022"], {"umask": 0o022}),
    (["umask=22"], {"umask": 0o022}),
    (["memory=32GiB"], {"memory_limit": 2**35}),
    (["--memory=32G"], {"memory_limit": 2**35}),
    (["time-limit=4h"], {"time_limit": 14400}),
    (["time_limit=4h", "time-limit=5h"], {"time_limit": 18000}),
    (["retries=exit=2,lost=1"], {"retries": {"exit": 2, "runner-died": 1}}),
    (['retries={"lost": 1}'], {"retries": {"runner-died": 1}}),
    (["priority=high"], {"priority": "high"}),
    (["after=3", "after=4-5"], {"after": [3, 4, 5]}),
    (["after=[3, 4]"], {"after": [3, 4]}),
    (["hold=yes"], {"hold": True}),
    (['name="null"'], {"name": "null"}),
    (["name=[1]"], {"name": "[1]"}),
    (["name=", "gpus=", "tags=", "after=", "time_limit=null"], {
        "name": None, "gpus": 1, "tags": {}, "after": [], "time_limit": None,
    }),
    (["gpu=0,2"], {"gpus": 2, "gpu_from": [0, 2]}),
    (["gpu="], {"gpu_from": []}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "fields"), SET, ids=[" ".join(given) for given, _ in SET])
def test_set_takes_what_submit_takes(given: list[str], fields: dict[str, Any]) -> None:
    pairs = [one.split("=", 1) for one in given]
    assert changes_of(tuple((name, text) for name, text in pairs)) == fields


WRONG = {
    "tiem_limit=4h": "did you mean time_limit?",
    "memroy=1GiB": "did you mean memory_limit?",
    "colour=red": "fields are name, command",
    "memory=32": "'32' has no unit; write 32GiB",
    "time_limit=4": "4 what? 4s, 4m or 4h",
    "time_limit=0": "leave it out for no limit",
    "umask=9": "three octal digits as 022",
    "stall_action=pause": "it is warn or stop",
    "gpus=two": "no whole number from 0 to 1024",
    "gpus=-1": "no whole number from 0 to 1024",
    "tags=a": "they look like set=a,lr=0.1",
    'tags={"a": 1}': "1 is no text",
    "env=1A=b": "OMP_NUM_THREADS=4",
    "env=": "say which variable",
    "command=": "cannot be without it",
    "command=echo 'a": "No closing quotation",
    "command=[1]": "1 is no text",
    'after={"a": 1}': "ids look like 3, 3-7",
    "hold=perhaps": "neither true nor false",
    f"name={'x' * 1001}": "there is room for 1000",
    "name=\udcff": "not UTF-8",
    "retries=[]": "is no cause",
}


@pytest.mark.parametrize("given", WRONG, ids=lambda given: given[:20].encode(errors="replace").decode())
def test_what_is_wrong_is_said_in_plain_words(given: str) -> None:
    name, text = given.split("=", 1)
    with pytest.raises(click.BadParameter) as refused:
        changes_of(((name, text),))
    said = refused.value.format_message()
    assert WRONG[given] in said
    assert "Expected" not in said


def test_a_set_reaches_the_job_and_a_refusal_names_what_was_typed(cli: Cli, client: Client) -> None:
    assert cli("submit", "--hold", "--tag", "a=b", "--", "true").returncode == 0
    sets = ["command=echo 'a b'", "umask=022", "tag=c=d", "time-limit=90m", "retries=exit=2"]
    assert cli("edit", "1", *(word for one in sets for word in ("--set", one))).returncode == 0
    job = client.status(1)
    assert (job.command, job.umask, job.tags, job.time_limit) == (("echo", "a b"), 0o022, {"c": "d"}, 5400)
    assert cli("edit", "1", "--set", "tags=", "--set", "time_limit=").returncode == 0
    assert (client.status(1).tags, client.status(1).time_limit) == ({}, None)
    for typed in ("memory=32", "memory_limit=32"):
        refused = cli("edit", "1", "--set", typed)
        assert (refused.returncode, f"--set {typed[:-3]}: " in refused.stderr) == (2, True)
    refused = cli("edit", "1", "--set", "warn=2h", "--set", "time_limit=1h")
    assert (refused.returncode, refused.stderr[: len("trainq-cli: warn: must be")]) == (1, "trainq-cli: warn: must be")


def test_submit_names_its_options(cli: Cli, client: Client) -> None:
    for words, said in (
        (["--time-limit", "4"], "'--time-limit': 4 what? 4s, 4m or 4h"),
        (["--time-limit", "0"], "'--time-limit': '0' is no time at all"),
        (["--memory", "32"], "'--memory': '32' has no unit"),
        (["--stall-action", "stop"], "trainq-cli: --stall-action: nothing says"),
        (["--lane", "nowhere"], "trainq-cli: --lane: "),
    ):
        refused = cli("submit", *words, "--", "true")
        assert (refused.returncode > 0, said in refused.stderr) == (True, True), refused.stderr
    assert client.queue()["queued"] == []


def test_status_shows_what_applies_as_it_can_be_given(cli: Cli) -> None:
    def shown(job: int) -> dict[str, str]:
        facts: dict[str, str] = dict(line.split("\t") for line in cli("status", str(job)).stdout.splitlines())
        return facts

    cli("submit", "--hold", "--", "true")
    assert not {"retry_backoff", "retry_place", "stall_action", "retry_delay"} & {*shown(1)}
    options = ["--retries", "exit=2", "--retry-delay", "90s", "--stall-timeout", "0", "--grace", "2m"]
    cli("submit", "--hold", *options, "--gpu-memory", "8G", "--", "echo", "a b")
    facts = shown(2)
    assert [facts[name] for name in ("retry_delay", "retry_backoff", "retry_place")] == ["1m30s", "1", "front"]
    assert [facts[name] for name in ("stall_timeout", "grace")] == ["0s", "2m"]
    assert "stall_action" not in facts, "as the settings say"
    assert (facts["gpu_memory"], facts["command"], facts["retries"]) == ("8 GiB", "echo 'a b'", "exit=2")
    cli("submit", "--hold", "--retry-place", "back", "--", "true")
    assert shown(3)["retry_place"] == "back"
