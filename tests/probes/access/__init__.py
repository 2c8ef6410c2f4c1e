"""Tests of gaia_checks.probes.access.access_probe."""
