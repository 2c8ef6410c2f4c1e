"""The `gaia` command: each subcommand is one call."""

import contextlib
import json
import os
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
import typer.exceptions

from gaia_checks import __version__
from gaia_checks.environment import environment_file, process_variables
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ConfigurationError, GaiaError, refused
from gaia_checks.model import Log
from gaia_checks.printable import printable

app = typer.Typer(
    name="gaia",
    help="Deploy gaia_server and show what runs. The gate is: pytest --env=ENV",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _names(incomplete: str) -> list[str]:
    """Complete the name of an environment; where none fits, the shell completes the path of a file."""
    return [name for name in environment_file.environment_names() if name.startswith(incomplete)]


Name = Annotated[
    str,
    typer.Argument(
        metavar="ENV", help="local, dev, qa, prod, or the path of an environment file", autocompletion=_names
    ),
]

Json = Annotated[bool, typer.Option("--json", help="machine-readable output")]
Remote = Annotated[str | None, typer.Option(metavar="URL", help="the git repository with the tags")]


@app.callback(invoke_without_command=True)
def standing_command(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="show the version and exit")] = False,
) -> None:
    """Show the path of a release and what comes next on this machine."""
    if version:
        print(f"gaia-checks {__version__}")
    elif context.invoked_subcommand is None:
        from gaia_checks.promotion import standing

        print(*standing.lines(), sep="\n")


@app.command("init")
def init_command(url: Annotated[str, typer.Argument(help="where your server answers")]) -> None:
    """Write into the current folder what a gate of your own server needs."""
    from gaia_checks import starter

    for line in starter.write(url, Path.cwd()):
        print(line)


@app.command("release")
def release_command(
    phase: Annotated[str, typer.Argument(help="the name of the new release, e.g. phase-11.4")],
    to: Annotated[
        str, typer.Option(metavar="ENV", help="the environment of the first stage", autocompletion=_names)
    ] = "dev",
) -> None:
    """Build the working tree's server, commit the executable, and tag it for the first environment."""
    from gaia_checks.deploy.release import cut

    where = environment_file.load(to)
    cut.cut(where, phase, _to_stdout(where))


@app.command()
def deploy(
    env: Name,
    phase: Annotated[
        str | None, typer.Argument(help="deploy the tag deploy/ENV/PHASE; without it the working tree")
    ] = None,
    remote: Remote = None,
) -> None:
    """Deploy a release completely, or keep the previous one."""
    from gaia_checks.deploy import rollout
    from gaia_checks.deploy.git import tag
    from gaia_checks.deploy.reporting import notify

    where = environment_file.load(env)
    wanted = phase or tag.WORKTREE
    if wanted == tag.WORKTREE and where.database != "embedded":
        raise ConfigurationError(f"{where.name}: give the phase to deploy, e.g. gaia deploy {env} phase-11.4")
    with notify.notifying(where, wanted):
        admitted = None
        if where.promoted and wanted != tag.WORKTREE:
            from gaia_checks.promotion import admission

            admitted = admission.admit(where, wanted, remote, _to_stdout(where))
        rollout.deploy(where, phase=wanted, commit=admitted, log=_to_stdout(where))


@app.command()
def rollback(
    env: Name,
    to: Annotated[
        str | None, typer.Option(metavar="PHASE", help="roll back to this release instead of the previous one")
    ] = None,
    database: Annotated[bool, typer.Option("--database", help="downgrade the schema as well")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask before losing data")] = False,
) -> None:
    """Roll back to the previous release; the schema stays unless --database is given."""
    from gaia_checks.deploy import rollout
    from gaia_checks.deploy.reporting import notify

    def confirm(losses: tuple[str, ...]) -> bool:
        print("this data would be lost:", *losses, sep="\n  ")
        return yes or (sys.stdin.isatty() and typer.confirm("continue?"))

    where = environment_file.load(env)
    with notify.notifying(where, to or "the previous release", done="is back"):
        rollout.rollback(where, phase=to, database=database, confirm=confirm, log=_to_stdout(where))


@app.command()
def stop(env: Name) -> None:
    """Stop the server, its supervisor and an embedded PostgreSQL."""
    from gaia_checks.deploy import rollout

    where = environment_file.load(env)
    rollout.stop(where)
    print(f"{where.name}: stopped")


@app.command("status")
def status_command(
    env: Annotated[
        str | None, typer.Argument(metavar="ENV", help="as for every command; or give --all", autocompletion=_names)
    ] = None,
    as_json: Json = False,
    every: Annotated[
        bool, typer.Option("--all", help="every environment: release, verdict, promotion and the next command")
    ] = False,
    remote: Remote = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="first finish or undo a deployment whose command was killed")
    ] = False,
) -> None:
    """Show the running release, or with --all what is known here about every environment."""
    from gaia_checks.deploy.reporting import status

    if every and not env and not repair:
        _show_overview(remote, as_json=as_json)
        return
    if env is None or every or remote:
        raise ConfigurationError("status: give one environment, e.g. gaia status qa, or --all (and --remote with it)")
    where = environment_file.load(env)
    if repair:
        from gaia_checks.deploy import rollout

        rollout.repair(where, _to_stderr(where))
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


@app.command("history")
def history_command(env: Name, as_json: Json = False) -> None:
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


@app.command("logs")
def logs_command(
    env: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="continue as it grows, until Ctrl-C")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, max=sys.maxsize, help="number of lines, from the end")
    ] = 100,
    as_json: Json = False,
) -> None:
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


@app.command("doctor")
def doctor_command(env: Name, as_json: Json = False) -> None:
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
    raise typer.Exit(0 if all(finding.state == "ok" for finding in findings) else 1)


@app.command("prune")
def prune_command(
    env: Name, keep: Annotated[int, typer.Option(min=0, help="number of newest releases to keep")] = 5
) -> None:
    """Remove old releases, but never the current or the previous one."""
    from gaia_checks.deploy import prune

    where = environment_file.load(env)
    print(f"{where.name}: removed: {', '.join(prune.prune(where, keep, _to_stderr(where))) or 'nothing'}")


@app.command("migrate")
def migrate_command(
    env: Name,
    action: Annotated[str, typer.Argument(metavar="up|down|status|verify")],
    count: Annotated[int, typer.Option(min=1, help="number of migrations to undo")] = 1,
) -> None:
    """Apply or undo the working tree's migrations, or compare them with the database."""
    from gaia_checks.deploy import migrate

    where = environment_file.load(env)
    match action:
        case "up":
            print(f"applied: {', '.join(migrate.up(where, _to_stdout(where))) or 'nothing was pending'}")
        case "down":
            print(f"undone: {', '.join(migrate.down(where, count, _to_stdout(where))) or 'nothing was applied'}")
        case "status":
            for version, applied in migrate.status(where):
                print(f"{'applied' if applied else 'pending'}  {version}")
        case "verify":
            migrate.verify(where)
            print(f"{where.name}: exactly the migrations of the working tree are applied")
        case _:
            raise ConfigurationError(f"migrate: {action!r} is not one of up, down, status, verify")


verdicts = typer.Typer(help="Verdicts of gates: judge again, verify, record.", no_args_is_help=True)
app.add_typer(verdicts, name="verdict")


@verdicts.command(name="show")
def show_verdict(folder: Annotated[Path, typer.Argument(help="evidence of a gate, e.g. reports/local/latest")]) -> None:
    """Judge a gate's evidence again, from its files alone."""
    from gaia_checks.gate.display import next_steps, stream, verdict_view
    from gaia_checks.gate.run.session import EXIT_CODES
    from gaia_checks.report import evidence

    judged = evidence.recompute(folder)
    on = stream.console(stream.duplicate(sys.stdout))
    steps = next_steps.NextSteps(judged, verdict_view.short(folder), evidence.criteria_of(folder))
    verdict_view.show(on, judged, steps)
    raise typer.Exit(EXIT_CODES[judged.state])


@verdicts.command("verify")
def verify_command(
    what: Annotated[str, typer.Argument(metavar="FILE|FOLDER|TAG", help="a statement, evidence, or deploy/ENV/PHASE")],
    remote: Remote = None,
    as_json: Json = False,
) -> None:
    """Show what a signed statement proves; exit code 1 when a check of it fails."""
    from gaia_checks import tables
    from gaia_checks.promotion import verification

    lines = verification.verify(what, remote)
    if as_json:
        print(json.dumps([asdict(line) for line in lines], indent=2))
    else:
        tables.show_lines([(line.what, line.found, line.ok) for line in lines])
    raise typer.Exit(1 if any(line.ok is False for line in lines) else 0)


@verdicts.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="evidence with a signed statement")], remote: Remote = None
) -> None:
    """Record a gate's statement on the git remote, where the gate could not."""
    from gaia_checks.deploy.git import git_remote
    from gaia_checks.promotion import record
    from gaia_checks.promotion.statements import statement

    where = environment_file.load(statement.parse(record.read(folder)).environment)
    entry = record.publish(git_remote.of(where, remote), folder)
    print(f"{where.name}: statement {entry.envelope.digest[:12]} is recorded as number {entry.position}")


@app.command(name="sign-off")
def sign_off_command(
    env: Name,
    phase: Annotated[str, typer.Argument(help="the phase that is to enter ENV")],
    item: Annotated[str, typer.Option(metavar="ITEM", help="the item of the list; see: gaia checklist ENV PHASE")],
    remote: Remote = None,
) -> None:
    """Sign one item of the list before ENV, with your SSH key."""
    from gaia_checks.promotion import sign_off

    print(sign_off.sign_off(environment_file.load(env), phase, item, remote))


@app.command("checklist")
def checklist_command(
    env: Name,
    phase: Annotated[str, typer.Argument(help="the phase that is to enter ENV")],
    remote: Remote = None,
    as_json: Json = False,
) -> None:
    """Show what lets a release into ENV: proven, signed or missing; exit code 1 when something is missing."""
    from gaia_checks import tables
    from gaia_checks.promotion import checklist

    items = checklist.checklist(environment_file.load(env), phase, remote)
    if as_json:
        print(json.dumps([asdict(item) for item in items], indent=2))
    else:
        tables.show(("item", "state", "by", "at"), [tuple(asdict(item).values()) for item in items])
    raise typer.Exit(1 if any(item.state == "missing" for item in items) else 0)


@app.command("promote")
def promote_command(
    phase: Annotated[str, typer.Argument(help="the phase that was deployed and gated")],
    to: Annotated[str, typer.Option(metavar="ENV", help="the environment of the next stage", autocompletion=_names)],
    remote: Remote = None,
    forced: Annotated[
        bool, typer.Option("--force", help="although something is missing; needs --by and --why")
    ] = False,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="who forces, as in allowed_signers")] = None,
    why: Annotated[str | None, typer.Option(metavar="TEXT", help="why it is forced")] = None,
) -> None:
    """Cut the next stage's signed tag, if signed verdict and sign-offs allow it."""
    from gaia_checks.promotion import promote

    if forced != bool(by and why):
        raise ConfigurationError('promote: --force, --by NAME and --why "..." belong together')
    done = promote.force(phase, to, by or "", why or "", remote) if forced else promote.promote(phase, to, remote)
    print(*done, sep="\n")


@app.command("watch")
def watch_command(
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="ENV", help="may be repeated; all by default", autocompletion=_names),
    ] = None,
    remote: Remote = None,
    every_s: Annotated[float, typer.Option("--every", min=0.1, help="seconds between two checks of the tags")] = 10,
) -> None:
    """Deploy and gate new tags until SIGTERM."""
    from gaia_checks import watch

    watch.watch(env or [], remote, every_s, lambda text: print(text, flush=True))


@app.command("serve")
def serve_command(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="where to listen; beyond loopback it needs GAIA_SERVE_TOKEN")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8720,
    remote: Remote = None,
) -> None:
    """Show what `gaia status --all` shows as one live, read-only page, until Ctrl-C."""
    from gaia_checks.serve import page_server

    page_server.serve(host, port, process_variables.serve_token(), remote, lambda text: print(text, flush=True))


@app.command("prove")
def prove_command(
    patterns: Annotated[
        list[str] | None, typer.Argument(metavar="[PATTERN]...", help="a part of a fault's name, e.g. qa.access")
    ] = None,
    env: Annotated[
        str, typer.Option(metavar="ENV", help="the environment of the server", autocompletion=_names)
    ] = "local",
    jobs: Annotated[int, typer.Option(min=1, help="faults that are tried at the same time")] = 1,
    listed: Annotated[bool, typer.Option("--list", help="show the catalogue, try nothing")] = False,
    page: Annotated[
        Path | None, typer.Option("--document", metavar="FILE", help="write the matrix of all faults as Markdown")
    ] = None,
) -> None:
    """Seed faults into the server's source, and show which of them the gate catches."""
    from gaia_checks.prove import prove_command

    if listed:
        prove_command.show_catalogue(env, patterns or ())
        return
    raise typer.Exit(prove_command.prove(env, patterns or (), jobs, page, lambda text: print(text, flush=True)))


loads = typer.Typer(help="Compare and draw measured loads.", no_args_is_help=True)
app.add_typer(loads, name="load")


@loads.command("compare")
def compare_command(
    first: Annotated[
        Path, typer.Argument(metavar="A", help="a load: a folder of gaia-checks, JSON of k6 or CSV of locust")
    ],
    second: Annotated[Path, typer.Argument(metavar="B", help="another load")],
    as_json: Json = False,
) -> None:
    """Compare two loads side by side."""
    from gaia_checks.load.views import compare

    figures = compare.read(first), compare.read(second)
    print(json.dumps(compare.to_json(*figures), indent=2) if as_json else compare.text(*figures))


@loads.command("chart")
def chart_command(
    folder: Annotated[Path, typer.Argument(help="the files of a load, e.g. reports/local/latest")],
) -> None:
    """Draw a load: latency, rate and errors over time, as one HTML file."""
    from gaia_checks.load.views import chart

    print(chart.write(folder))


@app.command("supervise", hidden=True)
def supervise_command(env: Name) -> None:
    """Supervise an environment's server, in the background."""
    from gaia_checks.deploy.supervisor import daemon

    daemon.supervise(environment_file.load(env))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0, the error's own, or 130 after Ctrl-C."""
    try:
        code = app(args=arguments, prog_name="gaia", standalone_mode=False)
    except GaiaError as error:
        print(f"gaia: {printable(process_variables.without_secrets(str(error)))}", file=sys.stderr)
        return error.exit_code
    except typer.exceptions.TyperException as error:
        print(f"gaia: {printable(error.format_message().rstrip('.'))}; see: gaia --help", file=sys.stderr)
        return ConfigurationError.exit_code
    except OSError as error:
        fix = "run it as the account that owns it" if isinstance(error, PermissionError) else "fix that, then run again"
        print(f"gaia: {printable(process_variables.without_secrets(refused(error)))}; {fix}", file=sys.stderr)
        return ConfigurationError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    return code if isinstance(code, int) else 0


def main() -> None:
    """Run the command line and exit; no other account may read what it writes."""
    os.umask(0o077)
    sys.exit(run(sys.argv[1:]))


def _to_stderr(where: Environment) -> Log:
    return lambda text: print(printable(where.redact(text)), file=sys.stderr, flush=True)


def _to_stdout(where: Environment) -> Log:
    return lambda text: print(printable(where.redact(text)), flush=True)


if __name__ == "__main__":
    main()
