"""Tests of gaia_checks.load.engines.gevent_client."""
