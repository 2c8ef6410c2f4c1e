"""Tests of gaia_checks.probes.dashboard.dashboard_probe."""
