"""Tests of gaia_checks.load.results."""
