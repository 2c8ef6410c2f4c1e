"""Tests of gaia_checks.probes.rehearsal.copy_protocol."""
