"""Make `pytest --env=NAME` the gate; without `--env`, pytest runs the project's own tests."""

pytest_plugins = ["gaia_checks.gate.pytest_hooks.plugin"]
