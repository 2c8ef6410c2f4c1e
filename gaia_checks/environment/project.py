"""The folder of gaia-checks itself, and that of the project whose server is deployed and gated."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder of gaia-checks itself: its suites, locustfiles and server."""

MARKER = "gaia.ini"
"""The file by which `gaia init` marks the folder of another project; pytest reads the gate's options from it."""


def _project() -> Path:
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the current folder was removed
        return ROOT
    above = [here, *here.parents]
    return ROOT if ROOT in above else next((folder for folder in above if (folder / MARKER).is_file()), ROOT)


PROJECT = _project()
"""Where `environments/`, `migrations/`, `reports/` and git are: the marked folder around the current one, else ROOT."""
