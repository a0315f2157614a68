"""How people write words, numbers, choices, and what is made of several: commands, tags, variables, retries."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any, get_args

from trainqueue import capture
from trainqueue.cli.forms import Form, from_json

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem


class Lane(Form):
    """The name of a lane."""

    name = "lane"

    def read(self, text: str) -> str:
        if not re.fullmatch(r"[\w.:+-]{1,100}", text):
            msg = f"{text!r} is no name of a lane: it has letters, digits and . _ : + - alone, 1 to 100 of them"
            raise ValueError(msg)
        return text

    def take(self, value: object) -> object:
        return self.read(value if isinstance(value, str) else json.dumps(value, default=str))


class Text(Form):
    """Any text; as JSON, too, for the sake of one that is empty or says null."""

    name = "text"

    def __init__(self, longest: int = 1000) -> None:
        self.longest = longest

    def read(self, text: str) -> str:
        if len(text) > self.longest:
            msg = f"{text[:20]!r}… has {len(text)} characters; there is room for {self.longest}"
            raise ValueError(msg)
        return text

    def take(self, value: object) -> object:
        if not isinstance(value, str):
            msg = f"{json.dumps(value, default=str)} is no text; a text stands in quotes"
            raise ValueError(msg)  # noqa: TRY004  (who reads it is a person)
        return self.read(value)

    def parse(self, text: str) -> object:
        value = from_json(text) if text[:1] == '"' else None
        return self.read(value if isinstance(value, str) else text)


class Folder(Text):
    """A folder; one that is not absolute is below this one."""

    name = "folder"

    def read(self, text: str) -> str:
        try:
            return super().read(capture.folder(text))
        except FileNotFoundError:
            msg = f"the folder that you are in does not exist any more: give {text!r} with all that is above it"
            raise ValueError(msg) from None


class Choice(Form):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self.words, self.name = words, "|".join(words)

    def read(self, text: str) -> str:
        if text not in self.words:
            msg = f"{text!r} is not possible here; it is {' or '.join(self.words)}"
            raise ValueError(msg)
        return text

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        del param, ctx
        return self.name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        del ctx, param
        return [CompletionItem(word) for word in self.words if word.startswith(incomplete)]


class Flag(Form):
    """`true` or `false`."""

    name = "true|false"
    words = ({"true": True, "yes": True, "on": True, "1": True}) | dict.fromkeys(("false", "no", "off", "0"), False)

    def read(self, text: str) -> bool:
        found = self.words.get(text.lower())
        if found is None:
            msg = f"{text!r} is neither true nor false"
            raise ValueError(msg)
        return found

    def show(self, value: Any) -> str:
        return str(value).lower()


class Number(Form):
    """`2`; with `parts` also `1.5`."""

    name = "number"

    def __init__(self, least: int, most: int, *, parts: bool = False) -> None:
        self.least, self.most, self.parts = least, most, parts

    def read(self, text: str) -> float:
        looks = r"[+-]?\d{1,18}" + (r"(?:\.\d+)?" if self.parts else "")
        if not re.fullmatch(looks, text.strip(), re.ASCII) or not self.least <= float(text) <= self.most:
            msg = f"{text!r} is no {'' if self.parts else 'whole '}number from {self.least} to {self.most}"
            raise ValueError(msg)
        return float(text) if self.parts else int(text)

    def show(self, value: Any) -> str:
        return f"{value:g}" if self.parts else str(value)


class Umask(Form):
    """`022`, in octal as everywhere; in a document it is a text, since 22 might be either there."""

    name = "umask"
    sentence = 'is no umask; they are three octal digits as 022 or 077 (in TOML as text: "022")'

    def read(self, text: str) -> int:
        match = re.fullmatch(r"(?:0o)?([0-7]{1,4})", text, re.ASCII)
        if match is None or int(match[1], 8) > 0o777:
            msg = f"{text!r} {self.sentence}"
            raise ValueError(msg)
        return int(match[1], 8)

    def take(self, value: object) -> object:
        if not isinstance(value, str):
            msg = f"{value} {self.sentence}"
            raise ValueError(msg)  # noqa: TRY004
        return self.read(value)

    def show(self, value: Any) -> str:
        return f"{value:03o}"

    def give(self, value: Any) -> object:
        return self.show(value)


class Words(Form):
    """`echo 'a b'`, split as a shell does it, or a list of the words."""

    name = "words"

    def read(self, text: str) -> list[str]:
        try:
            return shlex.split(text)
        except ValueError as error:
            msg = f"{text!r} cannot be split into words ({error}); quote as for a shell: python train.py 'a b'"
            raise ValueError(msg) from None

    def take(self, value: object) -> object:
        return texts(value, '["python", "train.py"]') if isinstance(value, list) else super().take(value)

    def show(self, value: Any) -> str:
        """As it may be pasted into a shell; words with control characters in the shell's own $'...'."""
        return " ".join(
            shlex.quote(word) if word.isprintable() else "$" + ascii(word + '"')[:-2] + "'" for word in value
        )


class Group(Form):
    """One group, by its name; several as a list."""

    name = "group"
    adds = True

    def read(self, text: str) -> list[str]:
        return [text]

    def take(self, value: object) -> object:
        return texts(value, '["sweep1", "sweep2"]') if isinstance(value, list) else super().take(value)

    def show(self, value: Any) -> str:
        return ", ".join(value)


def texts(values: list[Any], looks: str) -> list[str]:
    wrong = next((value for value in values if not isinstance(value, str)), None)
    if wrong is not None:
        msg = f"{json.dumps(wrong, default=str)} is no text; this is a list of texts as {looks}"
        raise ValueError(msg)
    return values


class Pairs(Form):
    """`a=b,c=d`. A comma belongs to the value unless a key and its = follow, or to it anyway where these are `single`.

    A table says what this cannot.
    """

    name = "key=value"
    adds = True

    def __init__(self, key: str = r"[^,=\s][^,=]*", looks: str = "set=a,lr=0.1", *, single: bool = False) -> None:
        self.key, self.looks, self.single = key, looks, single

    def read(self, text: str) -> dict[str, Any]:
        parts = [text] if self.single else re.split(rf",\s*(?={self.key}=)", text)
        for part in parts:
            if not re.match(rf"{self.key}=", part):
                msg = f"{part!r} is not KEY=VALUE; they look like {self.looks}"
                raise ValueError(msg)
        return dict(part.split("=", 1) for part in parts)

    def take(self, value: object) -> object:
        if not isinstance(value, dict):
            return super().take(value)
        texts([text for text in value.values() if not (self.single and text is None)], f"values: {self.looks}")
        return value

    def show(self, value: Any) -> str:
        return ", ".join(f"{key}={entry}" for key, entry in value.items())


class Retries(Form):
    """`exit=2,reboot=3,lost=1`: how often to begin again after which cause."""

    name = "retries"

    def read(self, text: str) -> dict[str, int]:
        return dict(retry(part.strip()) for part in text.split(","))

    def take(self, value: object) -> object:
        if not isinstance(value, dict):
            return super().take(value)
        return dict(retry(f"{cause}={times}") for cause, times in value.items())

    def show(self, value: Any) -> str:
        return ", ".join(f"{cause}={times}" for cause, times in value.items())


def retry(part: str) -> tuple[str, int]:
    from trainqueue.core.job import Cause

    cause, _, times = part.partition("=")
    cause = "runner-died" if cause == "lost" else cause  # the other way to be lost, a reboot, has a name of its own
    known = get_args(Cause)
    if cause not in known:
        causes = ", ".join(known)
        msg = f"{cause!r} is no cause; retries look like exit=2 (twice after a bad exit code), the causes are {causes}"
        raise ValueError(msg)
    if not re.fullmatch(r"\d{1,6}", times, re.ASCII):
        msg = f"{part!r} does not say how often; retries look like exit=2,reboot=1"
        raise ValueError(msg)
    return cause, int(times)
