"""Tests of gaia_server.alerting."""
