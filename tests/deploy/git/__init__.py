"""Tests of gaia_checks.deploy.git."""
