"""Tests of gaia_checks.prove."""
