"""Arrays and sweeps: what one command line asks for many times, with other values in it each time.

How many jobs that makes is known, and too many are refused, before any of them is made.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainqueue.cli.factors import NAME, Literal
from trainqueue.cli.given import refuse, refuse_odd, text_of
from trainqueue.cli.retries import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trainqueue.cli.factors import Values

LARGEST = 2**26
"""Bytes of a CSV file."""
INDEX, INDEX_VARIABLE = "index", "TRAINQ_ARRAY_INDEX"


@dataclass(frozen=True, slots=True)
class Axis:
    """Names that change together, as the columns of a CSV file do; `rows` is read once the count is accepted."""

    option: str
    names: tuple[str, ...]
    count: int
    rows: Iterable[tuple[str, ...]]


def axis(option: str, name: str, values: Values) -> Axis:
    count = sum(1 if isinstance(value, str) else (value[-1] - value[0]) // value.step + 1 for value in values)
    rows = (
        (str(value),) for part in values for value in ([part] if isinstance(part, str) else part)
    )  # a generator: nobody may hold ten million of them
    return Axis(option, (name,), count, rows)


def table(path: str, most: int) -> Axis:
    """A CSV file; more lines than may become jobs are only counted. Raises UsageError."""
    count, rows = 0, list[tuple[str, ...]]()
    text = text_of("--from-csv", path, LARGEST, f"{LARGEST >> 20} MiB", dash=True)
    if "\0" in text:
        refuse(f"--from-csv {path}: there is a NUL byte in it, which no command can have")
    lines = csv.reader(io.StringIO(text, newline=""))
    try:
        names = tuple(name.strip() for name in next(lines, []))
        check_names(path, names)
        for row in lines:
            if not row:
                continue
            if len(row) != len(names):
                refuse(f"{path}, line {lines.line_num}: {len(row)} values for {len(names)} columns")
            count += 1
            if count <= most:
                rows.append(tuple(value.strip() for value in row))
    except csv.Error as error:
        refuse(f"{path}, line {lines.line_num}: {error}")
    if not count:
        refuse(f"{path} has no lines but its header")
    return Axis("--from-csv", names, count, rows)


def check_names(path: str, names: tuple[str, ...]) -> None:
    if not names:
        refuse(f"{path} is empty; its first line names the columns: lr,seed")
    for name in names:
        if not re.fullmatch(NAME, name, re.ASCII):
            refuse(f"{path}: {name!r} in its first line is no name for a column; they look like lr or batch_size")


@dataclass(frozen=True, slots=True)
class Sweep:
    """What differs between the jobs."""

    axes: tuple[Axis, ...]
    zipped: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for axis in self.axes for name in axis.names)

    @property
    def count(self) -> int:
        return self.axes[0].count if self.zipped else math.prod(axis.count for axis in self.axes)

    def values(self) -> Iterator[dict[str, str]]:
        """Of each job; of a product the last name changes fastest. Raises UsageError where two have the same."""
        rows, seen = [axis.rows for axis in self.axes], set[tuple[str, ...]]()
        for combined in zip(*rows, strict=True) if self.zipped else itertools.product(*rows):
            values = tuple(itertools.chain(*combined))
            if values in seen:
                twice = " ".join(f"{name}={value}" for name, value in zip(self.names, values, strict=True))
                refuse(f"two jobs would be the same: {twice}; repetitions are asked for with --array 1-2")
            seen.add(values)
            yield dict(zip(self.names, values, strict=True))


def asked(options: dict[str, Any], most: int) -> Sweep | None:
    """What the options ask for; None without any of them. Raises UsageError, for more than `most` jobs as well."""
    axes = [] if options["array"] is None else [axis("--array", INDEX, options["array"])]
    axes += [axis("--sweep", name, values) for name, values in options["sweep"]]
    axes += [] if options["from_csv"] is None else [table(options["from_csv"], most)]
    if not axes:
        if options["zipped"]:
            refuse("--zip pairs the values of --array, --sweep and --from-csv, and none of them is given")
        return None
    made = Sweep(tuple(axes), options["zipped"])
    twice = next((name for name in made.names if made.names.count(name) > 1), None)
    if twice is not None:
        refuse(f"{{{twice}}} is given twice")
    if made.zipped and len({axis.count for axis in axes}) > 1:
        counts = ", ".join(f"{axis.option} {axis.names[0]} has {axis.count}" for axis in axes)
        refuse(f"--zip needs as many values of each: {counts}")
    if made.count > most:
        refuse(f"that is {made.count} jobs, and a sweep has at most {most} (setting [queue] max_sweep)")
    return made


class Template:
    """A text with `{name}` in it; `{{` and `}}` are braces."""

    def __init__(self, text: str, known: Sequence[str]) -> None:
        """Raises UsageError for what is none of the known names."""
        self.parts: list[tuple[str, bool]] = []
        """Texts, and whether they are names."""
        refuse_odd(text)
        self.literal = text if isinstance(text, Literal) else None
        if self.literal is not None:
            return
        last = 0
        for found in re.finditer(r"\{\{|\}\}|\{([^{}]*)\}|\{", text):
            self.parts.append((text[last : found.start()], False))
            last = found.end()
            if found[0] in {"{{", "}}"}:
                self.parts.append((found[0][0], False))
            elif found[1] in known:
                self.parts.append((found[1], True))
            elif found[1] is None:
                refuse(f"{text!r}: a brace is written {{{{ or }}}}, and a {{ begins a name")
            else:
                names = ", ".join(f"{{{name}}}" for name in known)
                refuse(f"{text!r}: there is no {found[0]} here, but {names}; a brace is written {{{{ or }}}}")
        self.parts.append((text[last:], False))

    @property
    def names(self) -> set[str]:
        return {text for text, named in self.parts if named}

    def fill(self, values: dict[str, str]) -> str:
        if self.literal is not None:
            return self.literal
        return "".join([values[text] if named else text for text, named in self.parts])


class Templates:
    """The fields of a job that may have names in them: command, resume_args, name, cwd and the values of `--env`."""

    def __init__(self, fields: dict[str, Any], sweep: Sweep) -> None:
        """Raises UsageError for an unknown name, and for one of the sweep that stands nowhere."""
        known = sweep.names
        self.command = [Template(word, known) for word in fields["command"]]
        self.name = None if fields["name"] is None else Template(fields["name"], known)
        self.cwd = Template(fields["cwd"], known)
        self.resume_args = [Template(word, known) for word in words(fields["resume_args"]) or ()]
        self.env = {name: Template(value, known) for name, value in fields["env"]}
        every = [*self.command, *self.resume_args, self.cwd, *self.env.values(), *([self.name] if self.name else [])]
        used = {name for template in every for name in template.names}
        of_tables = [axis.names for axis in sweep.axes if len(axis.names) > 1]  # one of its columns used is enough
        for names in of_tables:
            used |= {*names} if used & {*names} else set()
        unused = [name for name in known if name not in used and name != INDEX]
        everywhere = "the command, --name, --env, --cwd or --resume-args"
        if unused:
            refuse(f"{{{unused[0]}}} stands nowhere in {everywhere}: jobs with other values of it would do the same")

    def fill(self, values: dict[str, str], tags: dict[str, str]) -> dict[str, Any]:
        """What only the job with these values has."""
        for value in values.values():
            refuse_odd(value)
        env = {name: template.fill(values) for name, template in self.env.items() if template.names}
        if INDEX in values:
            env[INDEX_VARIABLE] = values[INDEX]
        made: dict[str, Any] = {"command": [word.fill(values) for word in self.command], "tags": {**tags, **values}}
        if env:
            made["env_extra"] = env
        if self.resume_args:
            made["resume_args"] = [word.fill(values) for word in self.resume_args]
        if self.name is not None and self.name.names:
            made["name"] = self.name.fill(values)
        if self.cwd.names:
            made["cwd"] = self.cwd.fill(values)
        return made


def stem(command: Sequence[str], name: str | None) -> str:
    """What a group of such jobs may be called: by their name without what differs, or by their script."""
    plain = re.sub(r"\{[^{}]*\}", " ", name or "").split(" ")
    if (text := plain[0].strip("-_.,=") or " ".join(plain).strip(" -_.,=")) != "":
        return text[:100]
    script = next((word for word in command if re.search(r"\.(py|sh|bash|R|jl|pl)$", word)), command[0])
    return re.sub(r"\{[^{}]*\}", "", Path(script).stem).strip(" -_.") or "sweep"
