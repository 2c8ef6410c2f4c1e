"""Tests of gaia_checks.deploy.state."""
