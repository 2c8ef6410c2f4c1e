"""Tests of gaia_checks.load.locust_plugin."""
