"""Tests of gaia_checks.load.views."""
