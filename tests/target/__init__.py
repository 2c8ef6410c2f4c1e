"""Tests of gaia_checks.target."""
