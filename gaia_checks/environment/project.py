"""The folder of gaia-checks itself, and that of the project whose server is deployed and gated."""

from pathlib import Path

PACKAGES = Path(__file__).resolve().parents[2]
"""The folder that has the package gaia_checks: a clone, or where pip installed it."""

_SHIPPED = PACKAGES / "gaia_checks" / "shipped"

INSTALLED = _SHIPPED.is_dir()
"""Whether pip installed gaia-checks from a wheel, without its server and the environments of its clone."""

ROOT = _SHIPPED if INSTALLED else PACKAGES
"""The folder of gaia-checks itself: its suites and locustfiles, in a clone its server as well."""

MARKER = "gaia.ini"
"""The file by which `gaia init` marks the folder of another project; pytest reads the gate's options from it."""


def _project() -> Path:
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the current folder was removed
        return ROOT
    above = [here, *here.parents]
    unmarked = here if INSTALLED else ROOT
    return ROOT if ROOT in above else next((folder for folder in above if (folder / MARKER).is_file()), unmarked)


PROJECT = _project()
"""Where `environments/`, `migrations/`, `reports/` and git are: the marked folder around the current one, else the
clone, without one the current folder."""
