"""Tests of gaia_server.storage."""
