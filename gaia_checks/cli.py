"""The `gaia` command: each subcommand is one call."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
import typer.exceptions

from gaia_checks import environment as environments
from gaia_checks.environment import Environment
from gaia_checks.errors import ConfigurationError, GaiaError

app = typer.Typer(
    name="gaia",
    help="Deploy gaia_server, and see what runs. The gate is: pytest --env=ENV",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="ENV", help="local, dev, qa, prod, or the path of an environment file")]


@app.command()
def deploy(
    env: Name,
    phase: Annotated[
        str | None, typer.Argument(help="deploy the tag deploy/ENV/PHASE; without it the working tree")
    ] = None,
) -> None:
    """Bring a release up: all of it, or the old one stays."""
    from gaia_checks.deploy import artifact, rollout

    where = environments.load(env)
    if phase is None and where.database != "embedded":
        raise ConfigurationError(f"{where.name}: give the phase to deploy, e.g. gaia deploy {env} phase-11.4")
    rollout.deploy(where, phase=phase or artifact.WORKTREE, say=_saying(where))


@app.command()
def stop(env: Name) -> None:
    """End the server, its supervisor and an embedded PostgreSQL."""
    from gaia_checks.deploy import rollout

    where = environments.load(env)
    rollout.stop(where)
    print(f"{where.name}: stopped")


@app.command()
def status(env: Name, as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """Show what runs."""
    from gaia_checks.deploy import rollout

    found = rollout.status(environments.load(env)).to_json()
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        shown = " ".join(str(part) for part in value.values()) if isinstance(value, dict) else value
        print(f"{name:12} {'-' if shown is None else shown}")


@app.command()
def migrate(
    env: Name,
    action: Annotated[str, typer.Argument(metavar="up|down|status|verify")],
    count: Annotated[int, typer.Option(min=1, help="how many to undo")] = 1,
) -> None:
    """Apply or undo the working tree's migrations, or compare them with the database."""
    from gaia_checks.deploy import rollout

    where = environments.load(env)
    match action:
        case "up":
            print(f"applied: {', '.join(rollout.migrate_up(where, _saying(where))) or 'nothing was pending'}")
        case "down":
            print(f"undone: {', '.join(rollout.migrate_down(where, count, _saying(where))) or 'nothing was applied'}")
        case "status":
            for version, applied in rollout.migrate_status(where):
                print(f"{'applied' if applied else 'pending'}  {version}")
        case "verify":
            rollout.migrate_verify(where)
            print(f"{where.name}: exactly the migrations of the working tree are applied")
        case _:
            raise ConfigurationError(f"migrate: {action!r} is not one of up, down, status, verify")


@app.command()
def verdict(folder: Annotated[Path, typer.Argument(help="evidence of a gate, e.g. reports/local/latest")]) -> None:
    """Judge a gate's evidence again, from its files alone."""
    from gaia_checks.gate import terminal
    from gaia_checks.gate.session import EXIT_CODES
    from gaia_checks.report import evidence

    judged = evidence.recompute(folder)
    terminal.show(terminal.console(sys.stdout), judged)
    raise typer.Exit(EXIT_CODES[judged.state])


loads = typer.Typer(help="Look at loads that were measured.", no_args_is_help=True)
app.add_typer(loads, name="load")


@loads.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="a load: our folder, k6's JSON or locust's CSV")],
    second: Annotated[Path, typer.Argument(metavar="B", help="another one")],
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Show two loads side by side, whoever made them."""
    from gaia_checks.load import compare as comparison

    figures = comparison.read(first), comparison.read(second)
    print(json.dumps(comparison.to_json(*figures), indent=2) if as_json else comparison.text(*figures))


@loads.command()
def chart(folder: Annotated[Path, typer.Argument(help="files of a load, e.g. reports/local/latest")]) -> None:
    """Draw a load: latency, rate and errors over time, as one HTML file."""
    from gaia_checks.load import chart as picture

    print(picture.write(folder))


@app.command(hidden=True)
def supervise(env: Name) -> None:
    """Supervise an environment's server, in the background."""
    from gaia_checks.deploy.supervise import supervise as begin

    begin(environments.load(env))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0, what the error says, or 130 after Ctrl-C."""
    try:
        code = app(args=arguments or ["--help"], standalone_mode=False)
    except GaiaError as error:
        print(f"gaia: {environments.redact(str(error))}", file=sys.stderr)
        return error.exit_code
    except typer.exceptions.TyperException as error:
        print(f"gaia: {error.format_message().rstrip('.')}; see: gaia --help", file=sys.stderr)
        return ConfigurationError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    return code if isinstance(code, int) else 0


def main() -> None:
    """Run the command line and end the process."""
    sys.exit(run(sys.argv[1:]))


def _saying(where: Environment) -> Callable[[str], None]:
    return lambda text: print(where.redact(text), flush=True)


if __name__ == "__main__":
    main()
