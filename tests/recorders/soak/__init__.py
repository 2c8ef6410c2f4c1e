"""Tests of gaia_checks.recorders.soak.soak_recorder."""
