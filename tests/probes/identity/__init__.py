"""Tests of gaia_checks.probes.identity.identity_probe."""
