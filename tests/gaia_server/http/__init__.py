"""Tests of gaia_server.http."""
