"""Tests of gaia_checks.probes.monitoring.monitoring_probe."""
