"""The program `gaia`: its own options, how a command is found and run, and what becomes of an error."""

import gc
import os
import sys

import click

from gaia_checks import __version__
from gaia_checks.cli.command_table import COMMANDS
from gaia_checks.cli.lazy_command import LazyCommand, OrderedGroup
from gaia_checks.errors import ConfigurationError, GaiaError, refused


def _install_completion(context: click.Context, _parameter: click.Parameter, chosen: bool) -> None:
    if chosen and not context.resilient_parsing:
        from gaia_checks.cli import completion

        completion.install(gaia)
        context.exit()


def _show_completion(context: click.Context, _parameter: click.Parameter, chosen: bool) -> None:
    if chosen and not context.resilient_parsing:
        from gaia_checks.cli import completion

        completion.show(gaia)
        context.exit()


@click.group(cls=OrderedGroup, invoke_without_command=True)
@click.version_option(__version__, message="gaia-checks %(version)s", help="show the version and exit")
@click.option(
    "--install-completion",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_install_completion,
    help="install completion for the current shell, and exit",
)
@click.option(
    "--show-completion",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_completion,
    help="show the completion's script, and exit",
)
@click.pass_context
def gaia(context: click.Context) -> None:
    """Deploy gaia_server and show what runs. The gate is: pytest --env=ENV"""  # noqa: D400
    if context.invoked_subcommand is None:
        from gaia_checks.promotion import standing

        print(*standing.lines(), sep="\n")


for _entry in COMMANDS:
    gaia.add_command(LazyCommand(_entry))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: its own, the error's, or 130 after Ctrl-C."""
    try:
        code = gaia.main(arguments, prog_name="gaia", standalone_mode=False)
    except GaiaError as error:
        _say(str(error))
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return ConfigurationError.exit_code
    except click.ClickException as error:
        _say(f"{error.format_message().rstrip('.')}; see: gaia --help")
        return ConfigurationError.exit_code
    except OSError as error:
        fix = "run it as the account that owns it" if isinstance(error, PermissionError) else "fix that, then run again"
        _say(f"{refused(error)}; {fix}")
        return ConfigurationError.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 130
    return code if isinstance(code, int) else 0


def _say(message: str) -> None:
    """Print an error in one line, without a secret."""
    from gaia_checks.environment import process_variables
    from gaia_checks.printable import printable

    print(f"gaia: {printable(process_variables.without_secrets(message))}", file=sys.stderr)


def main() -> None:
    """Run the command line and exit; no other account may read what it writes."""
    os.umask(0o077)
    code = run(sys.argv[1:])
    gc.freeze()  # nothing is left to collect, and the interpreter would search everything for it as it ends
    sys.exit(code)
