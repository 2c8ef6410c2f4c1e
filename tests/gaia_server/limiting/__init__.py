"""Tests of gaia_server.limiting."""
