"""Tests of gaia_checks.gate.display."""
