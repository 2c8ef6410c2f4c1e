"""Tests of gaia_checks.deploy.migrations."""
