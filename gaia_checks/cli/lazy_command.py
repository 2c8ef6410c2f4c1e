"""A command that is known by its name and help, and imported when it is called."""

from importlib import import_module
from typing import Any

import click

from gaia_checks.cli.command_table import CommandEntry


class LazyCommand(click.Command):
    """Stands for a command in the list of its group; help, completion and suggestions need no more."""

    def __init__(self, entry: CommandEntry) -> None:
        super().__init__(entry.name, help=entry.help, hidden=entry.hidden)
        self._entry = entry

    def load(self) -> click.Command:
        """Import the command."""
        module = import_module(f"gaia_checks.cli.{self._entry.module}")
        command: click.Command = getattr(module, f"{self._entry.name.replace('-', '_')}_command")
        return command

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Make the command's own context: what click invokes is the context's command."""
        return self.load().make_context(*args, **extra)


class OrderedGroup(click.Group):
    """A group that lists its commands as they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the help."""
        return list(self.commands)
