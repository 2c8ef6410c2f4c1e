"""How a gate was called: its options, pytest's and Python's variables, and every plugin that took part."""

import inspect
import sys
from pathlib import Path
from typing import Any

import pytest

from gaia_checks.environment.process_variables import inherited
from gaia_checks.environment.project import ROOT

_OWN = {"_pytest", "gaia_checks", "allure_pytest", "xdist", "anyio", "platformdirs", "_hypothesis_pytestplugin.py"}
"""Packages and modules whose plugins gates have: pytest, this project, and what its locks install."""

_BY_PYTEST = {"PYTEST_CURRENT_TEST", "PYTEST_VERSION"}


def describe(config: pytest.Config) -> dict[str, Any]:
    """Return the record of this process for the evidence; `foreign` are the plugins that are not part of a gate."""
    plugins = {name: _file(plugin) for name, plugin in config.pluginmanager.list_name_plugin() if plugin is not None}
    distributions = {f"{dist.project_name} {dist.version}" for _, dist in config.pluginmanager.list_plugin_distinfo()}
    return {
        "command": sys.orig_argv,
        "options": list(config.invocation_params.args),
        "variables": {
            name: value
            for name, value in sorted(inherited().items())
            if name.startswith(("PYTEST", "PYTHON")) and name not in _BY_PYTEST
        },
        "optimize": sys.flags.optimize,
        "distributions": sorted(distributions),
        "foreign": {name: file for name, file in sorted(plugins.items()) if _is_foreign(file)},
    }


def _file(plugin: object) -> str:
    """Return the file that defines a plugin."""
    try:
        return inspect.getfile(plugin if inspect.ismodule(plugin) else type(plugin))
    except (TypeError, OSError):
        return repr(type(plugin))


def _is_foreign(file: str) -> bool:
    path = Path(file)
    return path not in (ROOT / "conftest.py", ROOT / "tests" / "conftest.py") and _OWN.isdisjoint(path.parts)
