"""Tests of gaia_checks.load.plan."""
