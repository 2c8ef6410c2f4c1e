"""The pytest side of the gate: its options, and whether there is a gate at all.

Without `--env` pytest runs the project's own tests, and all that happens here is that suite tests are
refused. With it, `controller` leads the gate and `items` arranges the tests that look.
"""

import os

import pytest

from gaia_checks.errors import ConfigurationError

_LOOKS_GREEN = {
    "collectonly": "--collect-only",
    "setupplan": "--setup-plan",
    "setuponly": "--setup-only",
    "showfixtures": "--fixtures",
    "show_fixtures_per_test": "--fixtures-per-test",
    "markers": "--markers",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the gate's options."""
    group = parser.getgroup("gaia", "gaia-checks: the promotion gate")
    group.addoption("--env", metavar="NAME", help="gate this environment: a name in environments/, or a .toml file")
    group.addoption("--stage", metavar="STAGE", help="judge dev, qa or prod in place of the environment's own stage")
    group.addoption(
        "--complete", action="store_true", help="look at everything, also when a criterion has certainly failed"
    )
    group.addoption("--dry-run", action="store_true", help="say what would be sent where; send nothing, decide nothing")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Refuse options that would end green without measuring, before pytest acts on them; run the dry run."""
    for option, flag in _LOOKS_GREEN.items():
        if config.option.env is not None and getattr(config.option, option, False):
            raise pytest.UsageError(
                f"{flag} together with --env would look green without looking; leave one of them out"
            )
    if config.option.env is None or not config.option.dry_run:
        return None
    from gaia_checks.gate.display import dry_run  # noqa: PLC0415 - the project's own tests need none of it
    from gaia_checks.gate.pytest_hooks import controller  # noqa: PLC0415 - the project's own tests need none of it

    controller.refuse_unknown_stage(config.option.stage)
    try:
        return dry_run.main(config.option.env, config.option.stage)
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Lead the gate here, take part in it as an xdist worker, or leave pytest to the project's own tests."""
    record = getattr(config, "workerinput", {}).get("gaia")
    leads = config.option.env is not None and not hasattr(config, "workerinput")
    if leads or record:
        os.umask(os.umask(0o022) | 0o022)  # evidence: for others to read, perhaps, but not to write
        from gaia_checks.gate.pytest_hooks import controller  # noqa: PLC0415 - the project's own tests need none of it

        controller.join(config, record) if record else controller.lead(config)
        return
    for name in ("stage", "complete", "dry_run"):
        if getattr(config.option, name):
            option = f"--{name.replace('_', '-')}"
            raise pytest.UsageError(f"{option} needs --env: pytest --env=NAME {option}...")
    config.pluginmanager.register(SuitesNeedAnEnvironment(), "gaia-no-gate")


class SuitesNeedAnEnvironment:
    """Without `--env` there is no server to look at."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Refuse suite tests that were given by path."""
        if any(item.get_closest_marker("criterion") for item in items):
            raise pytest.UsageError("the suites look at a running server; say which: pytest --env=local")
