"""`doctor`: looks at all that a queue needs, and says what to do; `--recover` saves a damaged database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trainqueue.cli.common import REFUSED, as_json, show_json
from trainqueue.cli.daemon import the_home
from trainqueue.cli.screen import clean

if TYPE_CHECKING:
    from trainqueue.cli.finding import Finding
    from trainqueue.salvage.recover import Report


@click.command()
@click.option(
    "--recover", is_flag=True, help="Save what a damaged database holds into a new one; the damaged one is kept."
)
@as_json
def doctor(recover: bool, as_json: bool) -> int:  # noqa: FBT001
    """Check settings, home, disk, clock, daemon and driver, and say what to do."""
    if recover:
        return save(document=as_json)
    from trainqueue.cli.checks import checks

    found = [*checks(the_home())]
    if as_json:
        show_json([finding._asdict() for finding in found])
    else:
        for finding in found:
            show(finding)
    return REFUSED if any(finding.result == "problem" for finding in found) else 0


def show(finding: Finding) -> None:
    """Never cut: what to do stands at the end."""
    click.echo(f"{finding.result:8} {finding.check:9} {clean(finding.what)}")
    if finding.advice:
        click.echo(f"{'':18} -> {clean(finding.advice)}")


def save(*, document: bool) -> int:
    """Raises HomeHeldError (a daemon runs), RecoveryError (nothing was changed)."""
    from trainqueue.salvage.recover import recover

    home = the_home()
    report = recover(home)
    if document:
        import msgspec

        show_json(None if report is None else msgspec.to_builtins(report, str_keys=True))
    elif report is None:
        click.echo(f"{home.database} is whole; nothing was changed")
    else:
        for line in told(report):
            click.echo(line)
    return 0


def told(report: Report) -> list[str]:
    """What was saved, what is missing, what to do next."""
    from trainqueue.salvage.refill import digits

    lines = [f"saved {report.jobs} jobs and {report.events} events"]
    if report.damaged_pages or report.broken_frames:
        lines.append(f"could not be read: {report.damaged_pages} pages, {report.broken_frames} of the newest changes")
    if report.missing:
        lines.append(f"missing: {digits(report.missing)} (their folders are kept, their ids are not used again)")
    for job, pid in report.unknown.items():
        lines.append(f"job {job} is missing and still runs (process {pid}): wait for its end, or kill it")
    if report.held:
        ids = digits(report.held)
        lines.append(f"held, since they may have been cancelled or changed meanwhile: {ids}; trainq-cli release ID...")
    if report.bare:
        lines.append(f"without the environment they were submitted with, which is lost: {digits(report.bare)}")
    if report.paused:
        lines.append("paused, since the settings were lost and may have said so: trainq-cli resume")
    if report.running:
        lines.append(f"begun: {digits(report.running)}; the next start adopts them, or takes down how they ended")
    lines += [f"kept the damaged {path}" for path in report.kept]
    return [*lines, "next: trainq-cli daemon start"]
