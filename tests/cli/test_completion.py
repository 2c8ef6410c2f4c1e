"""Completion at Tab: of commands, options and environments, in the shell that installed it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gaia_checks.environment import environment_file
from gaia_checks.environment.project import ROOT

COMPLETING = """
gaia --install-completion >/dev/null
source ~/.bashrc
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_gaia_completion gaia
printf '%s\n' "$(complete -p gaia)" "${COMPREPLY[@]}"
"""
"""Installs the completion, then does what bash does at Tab behind the last of its arguments."""


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (("gaia", "do"), ["doctor"]),
        (("gaia", "verdict", "p"), ["publish"]),
        (("gaia", "doctor", "l"), ["local"]),
        (("gaia", "status", ""), environment_file.environment_names()),
        (("gaia", "promote", "phase-1", "--to", "q"), ["qa"]),
        (("gaia", "promote", "--f"), ["--force"]),
        (("gaia", "doctor", "./mine"), []),
    ],
)
def test_tab_completes_commands_options_and_environments(
    words: tuple[str, ...], completed: list[str], tmp_path: Path
) -> None:
    """As bash calls it; where nothing fits, bash completes file names."""
    how, *found = in_bash(tmp_path, COMPLETING, *words)
    assert (how, found) == ("complete -o default -F _gaia_completion gaia", completed)


def test_installing_it_again_keeps_the_start_file(tmp_path: Path) -> None:
    """The line that loads the completion stands once behind what was there, and the script is what is shown."""
    (tmp_path / ".bashrc").write_text("alias ll='ls -l'")
    shown = in_bash(
        tmp_path, "gaia --install-completion; gaia --install-completion >/dev/null; gaia --show-completion; exit"
    )
    script = tmp_path / ".bash_completions" / "gaia.sh"
    assert shown[:2] == [
        f"bash completion installed in {script}",
        "Completion will take effect once you restart the terminal",
    ]
    assert shown[2:] == script.read_text().splitlines()
    assert (tmp_path / ".bashrc").read_text() == f"alias ll='ls -l'\nsource '{script}'\n"


def in_bash(home: Path, script: str, *words: str) -> list[str]:
    """Run a script in bash with the home folder `home`, where `gaia` is this tree's; return what it printed."""
    command = home / "gaia"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m gaia_checks.cli "$@"\n')
    command.chmod(0o755)
    done = subprocess.run(
        ("bash", "--norc", "-c", script, "bash", *words),
        env={**os.environ, "HOME": str(home), "PATH": f"{home}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()
