"""Completion of commands, options and environments at Tab: install it for the shell that called us, or show it."""

from pathlib import Path

import click
import psutil
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from gaia_checks.errors import ConfigurationError

_SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
_FILES = {"bash": ".bash_completions/gaia.sh", "zsh": ".zfunc/_gaia", "fish": ".config/fish/completions/gaia.fish"}
"""Shell -> the script's file below the home folder; fish reads it of itself."""

_START_FILES = {
    "bash": (".bashrc", "source '{file}'"),
    "zsh": (".zshrc", "fpath+=~/.zfunc; autoload -Uz compinit; compinit"),
}
"""Shell -> the file that it reads when it starts, and the line which loads the script."""


def install(command: click.Command) -> None:
    """Write the script for the shell that called us, and have the shell load it."""
    shell = _shell()
    path = Path.home() / _FILES[shell]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script(command, shell))
    if shell in _START_FILES:
        name, line = _START_FILES[shell]
        _append(Path.home() / name, line.format(file=path))
    print(f"{shell} completion installed in {path}\nCompletion will take effect once you restart the terminal")


def show(command: click.Command) -> None:
    """Print the script for the shell that called us."""
    print(script(command, _shell()), end="")


def script(command: click.Command, shell: str) -> str:
    """Return what `shell` runs to complete `gaia`."""
    source = _SHELLS[shell](command, {}, "gaia", "_GAIA_COMPLETE").source()
    return source.replace("complete -o nosort", "complete -o default")  # bash completes paths where no name fits


def _append(path: Path, line: str) -> None:
    """Add a line to a file, once."""
    before = path.read_text() if path.is_file() else ""
    if line not in before:
        path.write_text(f"{before}\n{line}\n")


def _shell() -> str:
    """Return the name of the nearest shell above this process."""
    known = [name for process in psutil.Process().parents() if (name := process.name()) in _SHELLS]
    if not known:
        raise ConfigurationError(f"no shell with completion called gaia; run this in {', '.join(_SHELLS)}")
    return known[0]
