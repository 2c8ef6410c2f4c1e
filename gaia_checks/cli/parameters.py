"""Arguments and options that several commands have, and where a command's log goes."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.model import Log
from gaia_checks.printable import printable

_Function = TypeVar("_Function", bound=Callable[..., Any])
SETTINGS = {"show_default": True}
"""click's, for each command."""

FOLDER = click.Path(path_type=Path)
"""The type of an argument that is a folder or file; whether it exists is checked where it is read."""


def _names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of an environment; where none fits, the shell completes the path of a file."""
    return [name for name in environment_file.environment_names() if name.startswith(incomplete)]


def env_argument(
    *, required: bool = True, about: str = "local, dev, qa, prod, or the path of an environment file"
) -> Callable[[_Function], _Function]:
    """Give a command the argument ENV."""
    metavar = "ENV" if required else "[ENV]"
    return click.argument("env", metavar=metavar, required=required, help=about, shell_complete=_names)


def env_option(name: str, about: str, **more: Any) -> Callable[[_Function], _Function]:
    """Give a command an option with an environment's name."""
    return click.option(name, metavar="ENV", help=about, shell_complete=_names, **more)


phase_to_enter = click.argument("phase", help="the phase that is to enter ENV")
remote_option = click.option("--remote", metavar="URL", help="the git repository with the tags")
json_option = click.option("--json", "as_json", is_flag=True, help="machine-readable output")


def to_stderr(where: Environment) -> Log:
    """Log to standard error, without the environment's secrets."""
    return lambda text: print(printable(where.redact(text)), file=sys.stderr, flush=True)


def to_stdout(where: Environment) -> Log:
    """Log to standard output, without the environment's secrets."""
    return lambda text: print(printable(where.redact(text)), flush=True)
