"""The options of commands that show something live."""

from __future__ import annotations

from typing import Any

import click


def watching(function: Any) -> Any:
    """Gives a command these options."""
    often = click.option(
        "--interval", metavar="SECONDS", type=click.FloatRange(0.1, 3600), help="Draw so often at most (default: 0.5)."
    )
    watch = click.option("-w", "--watch", is_flag=True, help="Stay, and draw what changes; q ends it.")
    return watch(often(function))


no_bar = click.option("--no-bar", is_flag=True, help="On a terminal: no line about the job below its output.")
