"""Tests of gaia_checks.gate.pytest_hooks."""
