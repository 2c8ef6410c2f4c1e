"""The gates that the README names, each planned by its own command."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from gaia_checks.environment.project import ROOT
from tests.docs.commands import to_run

VARIABLES = {"DATABASE_URL": "postgresql://me@127.0.0.1:9/x", "ADMIN_TOKEN": "a" * 16, "ANTHROPIC_API_KEY": "b" * 16}


def test_every_gate_of_the_readme_is_understood(tmp_path: Path) -> None:
    """With `--dry-run` added it says what it would do to the environment and stage that the line is about.

    Each of these gates takes half an hour; that of first-release.md is run in full.
    """
    export, *gates = to_run("README.md#gating-your-own-environments")
    assert export.split() == ["export", *(f"{name}=..." for name in VARIABLES)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GAIA_", "PYTEST_"))}
    for line in gates:
        python, *words = shlex.split(line)
        assert python == ".venv/bin/python"
        named = dict(word.split("=") for word in words if "=" in word)
        done = subprocess.run(
            (sys.executable, *words, "--dry-run"),
            cwd=ROOT,
            env={**clean, **VARIABLES, "GAIA_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        stage = named.get("--stage", named["--env"])
        assert f"dry run of the gate {named['--env']}, stage {stage}: " in done.stdout, line + done.stdout + done.stderr
        assert done.returncode == 8, line
