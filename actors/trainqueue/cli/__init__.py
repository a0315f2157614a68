"""`trainq-cli`: one module per group of commands, imported when used, so that each call is quick."""

from __future__ import annotations

import io
import keyword
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click

from trainqueue import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "submit": ("submit", "Queue a job and print its id."),
    "run": ("submit", "Queue a job, follow its log, exit with its exit code."),
    "status": ("look", "The queue at a glance, or one job in full."),
    "queue": ("look", "Running and waiting jobs."),
    "history": ("look", "Ended jobs, newest first."),
    "gpus": ("gpus", "The GPUs, who is on them, and whether a job may start there."),
    "top": ("top", "The queue full-screen and live, with all actions; extra [tui]."),
    "stats": ("look", "Counts, GPU seconds used, waited and lost."),
    "events": ("events", "What has happened; -f follows."),
    "logs": ("follow", "A job's output; -f follows."),
    "wait": ("follow", "Until the jobs have ended."),
    "cancel": ("change", "Cancel waiting or running jobs."),
    "hold": ("change", "Keep waiting jobs from starting."),
    "release": ("change", "Let held jobs start."),
    "retry": ("retry", "Queue ended jobs again, as a new attempt; --edit, --copy."),
    "move": ("change", "Give a waiting job another place."),
    "edit": ("edit", "Change a waiting job's fields."),
    "signal": ("control", "Send a signal to running jobs."),
    "suspend": ("control", "Stop running jobs where they are; they keep their GPUs."),
    "continue": ("control", "Let suspended jobs run on."),
    "preempt": ("control", "Put running jobs back into the line, after a warning."),
    "pause": ("change", "Start nothing until resumed."),
    "resume": ("change", "End pause and drain."),
    "drain": ("change", "Start nothing; exit when the last running job ends."),
    "lane": ("lane", "Lanes: named queues with a share of the GPUs and a pause of their own."),
    "web": ("web", "Serve the page and the HTTP interface."),
    "completion": ("completion", "Print the script that makes a shell complete."),
    "daemon": ("daemon", "start, stop or status of the daemon."),
    "doctor": ("doctor", "Check settings, home, disk, clock, daemon and driver, and say what to do."),
}


class LazyGroup(click.Group):
    """Help needs no import of any command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command: click.Command = getattr(import_module(f"{__name__}.{COMMANDS[cmd_name][0]}"), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Without an import of any command, too."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=line) for name, (_, line) in COMMANDS.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--home",
    metavar="FOLDER",
    help="Home folder (default: $TRAINQ_HOME, else $XDG_STATE_HOME/trainq, else ~/.local/state/trainq).",
)
@click.version_option(__version__, prog_name="trainq-cli")
@click.pass_context
def cli(ctx: click.Context, home: str | None) -> None:
    """The job queue for the GPU under your desk."""
    ctx.obj = home


def main() -> NoReturn:
    """The console script. Leaves by os._exit: tearing ZeroMQ down costs 8 ms and saves nothing."""
    have_streams()
    if "_TRAINQ_CLI_COMPLETE" in os.environ:
        from trainqueue.cli.completion import arm

        arm()
    code = run()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = code or 1
    os._exit(code)


def have_streams() -> None:
    """Where the caller has closed them (`>&-`), what we print goes nowhere, and no socket gets their number."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    sys.stdin = sys.stdin or open(0, encoding="utf-8")  # noqa: SIM115  (as long as the process)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a bar on a terminal that has none is no reason to fail
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115


def run() -> int:
    try:
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        return cli.main(standalone_mode=False, prog_name="trainq-cli", color=False if plain else None) or 0
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:  # noqa: BLE001  (explain raises what is not ours)
        from trainqueue.cli.common import explain

        return explain(error)
