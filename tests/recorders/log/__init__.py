"""Tests of gaia_checks.recorders.log.log_recorder."""
