"""Tests of gaia_checks.gate.run."""
