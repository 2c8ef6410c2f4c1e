"""Tests of gaia_checks.deploy.release."""
