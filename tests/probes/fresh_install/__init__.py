"""Tests of gaia_checks.probes.fresh_install."""
