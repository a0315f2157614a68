"""`top`: the queue full-screen and live. Its first picture is there before Textual is imported."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

import click

from trainqueue.cli.common import REFUSED, USAGE, complain

PLAIN = "trainq-cli queue --watch needs none of it"


@click.command()
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(0.1, 60),
    default=1.0,
    help="Between two paintings (default: 1).",
)
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal, so that text can be marked with it.")
@click.pass_context
def top(ctx: click.Context, interval: float, no_mouse: bool) -> int:  # noqa: FBT001
    """The queue full-screen: jobs, GPUs, a log, and all actions. ? shows the keys."""
    trouble = unfit()
    if trouble:
        complain(trouble)
        return USAGE
    if any(find_spec(name) is None for name in ("textual", "rich")):
        complain(f"top needs the extra [tui]: pip install 'trainqueue[tui]' in the environment of trainq-cli; {PLAIN}")
        return REFUSED
    from trainqueue.home import Home
    from trainqueue.top.asker import Asker

    asker = Asker(Home.find(ctx.find_root().obj), interval)
    asker.start()
    from trainqueue.top.first import First

    with First(asker) as first:
        from trainqueue.top.app import serve

        return serve(asker, first, mouse=not no_mouse)


def unfit() -> str:
    """Why the terminal will not do; said before Textual is imported, which writes to whatever it finds."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):  # Textual draws on the last one
        return f"top needs a terminal for its input, output and errors; {PLAIN}"
    if os.environ.get("TERM", "dumb") in {"dumb", "unknown"}:
        return f"top cannot move the cursor on a terminal with TERM={os.environ.get('TERM', '')}; {PLAIN}"
    return ""
