"""Tests of gaia_checks.deploy.rehearsal."""
