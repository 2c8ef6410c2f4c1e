"""The table of commands: what `gaia --help` shows is what each command says of itself."""

from importlib import import_module

import click
import pytest

from gaia_checks.cli.command_table import COMMANDS, CommandEntry
from gaia_checks.cli.lazy_command import LazyCommand
from gaia_checks.cli.program import gaia


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_the_help_that_is_listed_is_the_commands_own(entry: CommandEntry) -> None:
    """Name, help and whether it is hidden; the table has them because --help imports no command."""
    command = LazyCommand(entry).load()
    assert (command.name, command.help, command.hidden) == (entry.name, entry.help, entry.hidden)


def test_every_command_is_in_the_table() -> None:
    """Each command that a module of the table has is an entry, or stands below a group that is one."""
    modules = {entry.module: import_module(f"gaia_checks.cli.{entry.module}") for entry in COMMANDS}
    commands = [
        each for module in modules.values() for each in vars(module).values() if isinstance(each, click.Command)
    ]
    below = {name for each in commands if isinstance(each, click.Group) for name in each.commands}
    assert {str(each.name) for each in commands} == {entry.name for entry in COMMANDS} | below


def test_help_lists_the_commands_in_the_tables_order() -> None:
    """What is for machines alone is left out."""
    listed = gaia.get_help(click.Context(gaia, info_name="gaia")).partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines()] == [each.name for each in COMMANDS if not each.hidden]
