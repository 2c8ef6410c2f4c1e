"""The `gaia` command: `command_table` lists what there is; a command's module is imported when it is called."""

from gaia_checks.cli.program import main, run

__all__ = ["main", "run"]
