"""Tests of gaia_checks.deploy.supervisor."""
