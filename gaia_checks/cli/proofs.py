"""The command `gaia prove`: faults are seeded into the server, and the gate is to find them."""

from pathlib import Path

import click

from gaia_checks.cli.parameters import FOLDER, SETTINGS, env_option


@click.command("prove", context_settings=SETTINGS)
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1, help="a part of a fault's name, e.g. qa.access")
@env_option("--env", "the environment of the server", default="local")
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="faults that are tried at the same time")
@click.option("--list", "listed", is_flag=True, help="show the catalogue, try nothing")
@click.option("--document", "page", type=FOLDER, metavar="FILE", help="write the matrix of all faults as Markdown")
@click.pass_context
def prove_command(
    context: click.Context, patterns: tuple[str, ...], env: str, jobs: int, *, listed: bool, page: Path | None
) -> None:
    """Seed faults into the server's source, and show which of them the gate catches."""
    from gaia_checks.prove import prove_command

    if listed:
        prove_command.show_catalogue(env, patterns)
        return
    context.exit(prove_command.prove(env, patterns, jobs, page, lambda text: print(text, flush=True)))
