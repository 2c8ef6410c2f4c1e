"""`gaia init`: a project of somebody's own."""

from pathlib import Path

import click


@click.command("init")
@click.argument("url", help="where your server answers")
def init_command(url: str) -> None:
    """Write into the current folder what a gate of your own server needs."""
    from gaia_checks import starter

    for line in starter.write(url, Path.cwd()):
        print(line)
