"""Tests of gaia_checks.recorders.limits.limits_recorder."""
