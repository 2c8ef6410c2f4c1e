"""Tests of gaia_checks.load.engines."""
