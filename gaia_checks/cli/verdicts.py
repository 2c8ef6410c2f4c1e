"""`gaia verdict`: a gate's evidence, judged again, verified or recorded."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from gaia_checks.cli.lazy_command import OrderedGroup
from gaia_checks.cli.parameters import FOLDER, json_option, remote_option
from gaia_checks.environment import environment_file


@click.group("verdict", cls=OrderedGroup)
def verdict_command() -> None:
    """Verdicts of gates: judge again, verify, record."""


@verdict_command.command("show")
@click.argument("folder", type=FOLDER, help="evidence of a gate, e.g. reports/local/latest")
def show_command(folder: Path) -> int:
    """Judge a gate's evidence again, from its files alone."""
    from gaia_checks.gate.display import next_steps, stream, verdict_view
    from gaia_checks.gate.run.session import EXIT_CODES
    from gaia_checks.report import evidence

    judged = evidence.recompute(folder)
    on = stream.console(stream.duplicate(sys.stdout))
    steps = next_steps.NextSteps(judged, verdict_view.short(folder), evidence.criteria_of(folder))
    verdict_view.show(on, judged, steps)
    return EXIT_CODES[judged.state]


@verdict_command.command("verify")
@click.argument("what", metavar="FILE|FOLDER|TAG", help="a statement, evidence, or deploy/ENV/PHASE")
@remote_option
@json_option
def verify_command(what: str, remote: str | None, *, as_json: bool) -> int:
    """Show what a signed statement proves; exit code 1 when a check of it fails."""
    from gaia_checks import tables
    from gaia_checks.promotion import verification

    lines = verification.verify(what, remote)
    if as_json:
        print(json.dumps([asdict(line) for line in lines], indent=2))
    else:
        tables.show_lines([(line.what, line.found, line.ok) for line in lines])
    return 1 if any(line.ok is False for line in lines) else 0


@verdict_command.command("publish")
@click.argument("folder", type=FOLDER, help="evidence with a signed statement")
@remote_option
def publish_command(folder: Path, remote: str | None) -> None:
    """Record a gate's statement on the git remote, where the gate could not."""
    from gaia_checks.deploy.git import git_remote
    from gaia_checks.promotion import record
    from gaia_checks.promotion.statements import statement

    where = environment_file.load(statement.parse(record.read(folder)).environment)
    entry = record.publish(git_remote.of(where, remote), folder)
    print(f"{where.name}: statement {entry.envelope.digest[:12]} is recorded as number {entry.position}")
