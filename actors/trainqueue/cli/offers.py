"""What a shell is offered for words that have no form of their own; asked for only at a Tab."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem


def files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def folders(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="dir")]


def known(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What jobs have of it."""
    from trainqueue.cli.completion import texts

    return texts(context, parameter, incomplete)
