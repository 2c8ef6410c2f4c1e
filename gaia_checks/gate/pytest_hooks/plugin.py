"""The gate's pytest options, and the choice between a gate and the project's own tests.

Without `--env` pytest runs the project's own tests, and this plugin only refuses suite tests.
With it, `controller` runs the gate and `items` selects and orders its tests.
"""

import os

import pytest

from gaia_checks.errors import ConfigurationError
from gaia_checks.gate.pytest_hooks.exit_code import ExitCode, leads

_NO_MEASUREMENT = {
    "collectonly": "--collect-only",
    "setupplan": "--setup-plan",
    "setuponly": "--setup-only",
    "showfixtures": "--fixtures",
    "show_fixtures_per_test": "--fixtures-per-test",
    "markers": "--markers",
    "cacheshow": "--cache-show",
}

_ONLY_SHOWN = {"help": ("-h", "--help"), "version": ("-V", "--version"), "dry_run": ("--dry-run",)}
"""Options that end with 0 without measuring, for whoever types them."""

_SLOW = "hypothesispytest"


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the gate's options, and guard its exit code."""
    if not pluginmanager.hasplugin(ExitCode.NAME):
        pluginmanager.register(ExitCode(), ExitCode.NAME)
    group = parser.getgroup("gaia", "gaia-checks: the promotion gate")
    group.addoption("--env", metavar="NAME", help="gate this environment: a name in environments/, or a .toml file")
    group.addoption("--stage", metavar="STAGE", help="judge dev, qa or prod in place of the environment's own stage")
    group.addoption(
        "--complete", action="store_true", help="measure everything, even after a criterion has certainly failed"
    )
    group.addoption(
        "--dry-run", action="store_true", help="show what would be sent where; send nothing, decide nothing"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Refuse, before pytest acts on them, options that end a gate without measuring; run the dry run."""
    _refuse_untyped(config)
    if config.option.env is None or config.option.help or config.option.version:
        return None
    for option, flag in _NO_MEASUREMENT.items():
        if getattr(config.option, option, False):
            raise pytest.UsageError(
                f"{flag} together with --env would exit with 0 without measuring; remove one of them"
            )
    if config.pluginmanager.hasplugin("faulthandler") and config.getini("faulthandler_exit_on_timeout"):
        raise pytest.UsageError("faulthandler_exit_on_timeout together with --env would exit with 1 without a verdict")
    config.addinivalue_line("filterwarnings", "default")  # a library's deprecation decides nothing about a release,
    config.known_args_namespace.pythonwarnings = []  # neither while plugins are configured nor by -W error
    for name in ("stepwise", "cacheprovider"):  # a gate repeats nothing of an earlier one, on a read-only checkout too
        config.pluginmanager.unregister(name=name)
    if config.pluginmanager.hasplugin(_SLOW):  # after a failure it imports a library for 1 s, to find nothing to report
        config.pluginmanager.unregister(name=_SLOW)
    if not config.option.dry_run:
        return None
    from gaia_checks.gate.display import dry_run  # noqa: PLC0415 - the project's own tests need none of it
    from gaia_checks.gate.pytest_hooks import controller  # noqa: PLC0415 - the project's own tests need none of it

    controller.refuse_unknown_stage(config.option.stage)
    try:
        return dry_run.main(config.option.env, config.option.stage)
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None


def _refuse_untyped(config: pytest.Config) -> None:
    """Refuse options that only show something that nobody typed beside --env, e.g. in the variables of a CI."""
    typed = [str(arg) for arg in config.invocation_params.args]
    if not any(arg.startswith("--env") for arg in typed):  # --help stops the parser before it knows
        return
    for option, flags in _ONLY_SHOWN.items():
        if getattr(config.option, option) and not any(arg.startswith(flags) for arg in typed):
            raise pytest.UsageError(
                f"{flags[-1]} from PYTEST_ADDOPTS or addopts would exit with 0 without measuring; remove it there"
            )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Control the gate, join it as an xdist worker, or leave pytest to the project's own tests."""
    record = getattr(config, "workerinput", {}).get("gaia")
    if record or leads(config):
        os.umask(os.umask(0o022) | 0o022)  # evidence: for others to read, perhaps, but not to write
        from gaia_checks.gate.pytest_hooks import controller  # noqa: PLC0415 - the project's own tests need none of it

        controller.join(config, record) if record else controller.lead(config)
        return
    if config.option.help or config.option.version:
        return
    for name in ("stage", "complete", "dry_run"):
        if getattr(config.option, name):
            option = f"--{name.replace('_', '-')}"
            raise pytest.UsageError(f"{option} requires --env: pytest --env=NAME {option}...")
    config.pluginmanager.register(SuitesNeedAnEnvironment(), "gaia-no-gate")


class SuitesNeedAnEnvironment:
    """Refuse the suites without `--env`: there is no server to measure."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Refuse suite tests that were selected by path."""
        if any(item.get_closest_marker("criterion") for item in items):
            raise pytest.UsageError("the suites measure a running server; name its environment: pytest --env=local")
