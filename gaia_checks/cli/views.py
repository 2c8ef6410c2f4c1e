"""Commands that show an environment and change nothing: `gaia status`, `history`, `logs` and `doctor`."""

import contextlib
import json
import shutil
import sys
from dataclasses import asdict, replace

import click

from gaia_checks.cli.parameters import SETTINGS, env_argument, json_option, remote_option, to_stderr
from gaia_checks.environment import environment_file
from gaia_checks.errors import ConfigurationError


@click.command("status")
@env_argument(required=False, about="as for every command; or give --all")
@json_option
@click.option(
    "--all", "every", is_flag=True, help="every environment: release, verdict, promotion and the next command"
)
@remote_option
@click.option("--repair", is_flag=True, help="first finish or undo a deployment whose command was killed")
def status_command(env: str | None, remote: str | None, *, as_json: bool, every: bool, repair: bool) -> None:
    """Show the running release, or with --all what is known here about every environment."""
    if every and not env and not repair:
        _show_overview(remote, as_json=as_json)
        return
    if env is None or every or remote:
        raise ConfigurationError("status: give one environment, e.g. gaia status qa, or --all (and --remote with it)")
    _show_status(env, as_json=as_json, repair=repair)


def _show_status(env: str, *, as_json: bool, repair: bool) -> None:
    from gaia_checks.deploy.reporting import status

    where = environment_file.load(env)
    if repair:
        from gaia_checks.deploy import rollout

        rollout.repair(where, to_stderr(where))
    found = status.status(where).to_json()
    if as_json:
        print(json.dumps(found, indent=2))
        return
    from gaia_checks import tables

    tables.show_status(found)


def _show_overview(remote: str | None, *, as_json: bool) -> None:
    from gaia_checks import tables
    from gaia_checks.promotion import environment_row, overview

    rows = overview.overview(remote)
    if as_json:
        print(json.dumps([row.to_json() for row in rows], indent=2))
    else:
        tables.show_overview([(row.environment, *line) for row in rows for line in environment_row.lines(row)])


@click.command("history")
@env_argument()
@json_option
def history_command(env: str, *, as_json: bool) -> None:
    """Show deployments, gates, sign-offs and promotions, oldest first."""
    from gaia_checks import jsonl, tables
    from gaia_checks.deploy.reporting import history
    from gaia_checks.deploy.state import paths

    where = environment_file.load(env)
    entries = history.entries(jsonl.read(paths.of(where).ledger), where.name)
    if as_json:
        print(json.dumps([asdict(entry) for entry in entries], indent=2))
        return
    head = ("at", "what", "phase", "outcome", "seconds", "by", "commit", "why")
    short = (replace(entry, commit=entry.commit and entry.commit[:12]) for entry in entries)
    tables.show(head, [tuple(asdict(entry).values()) for entry in short])


@click.command("logs", context_settings=SETTINGS)
@env_argument()
@click.option("--follow", "-f", is_flag=True, help="continue as it grows, until Ctrl-C")
@click.option("--lines", "-n", type=click.IntRange(0, sys.maxsize), default=100, help="number of lines, from the end")
@json_option
def logs_command(env: str, lines: int, *, follow: bool, as_json: bool) -> None:
    """Show the end of the server's log."""
    from rich.console import Console

    from gaia_checks import logs
    from gaia_checks.deploy.supervisor import log_line

    pretty = Console(soft_wrap=True, highlight=False)
    found = logs.read(environment_file.load(env), lines, follow=follow, warn=lambda text: print(text, file=sys.stderr))
    with contextlib.suppress(KeyboardInterrupt):
        for line in found:
            if pretty.is_terminal and not as_json:
                pretty.print(logs.for_people(line))
            else:
                print(json.dumps(log_line.as_record(line)) if as_json else line, flush=True)


@click.command("doctor")
@env_argument()
@json_option
def doctor_command(env: str, *, as_json: bool) -> int:
    """Check for common problems and name the command that fixes each."""
    from gaia_checks import tables
    from gaia_checks.deploy.reporting import doctor
    from gaia_checks.gate.run import judgeable
    from gaia_checks.promotion import ledger_diagnosis

    where = environment_file.load(env)
    findings = (*doctor.examine(where), ledger_diagnosis.examine_ledger(where))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        tables.show_findings([(each.check, each.state, each.finding, each.fix) for each in findings])
        for line in judgeable.of_environment(
            where, shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        ):
            print(line)
    return 0 if all(finding.state == "ok" for finding in findings) else 1
