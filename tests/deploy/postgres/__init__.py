"""Tests of gaia_checks.deploy.postgres."""
