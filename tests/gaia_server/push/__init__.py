"""Tests of gaia_server.push."""
