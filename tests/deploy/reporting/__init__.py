"""Tests of gaia_checks.deploy.reporting."""
