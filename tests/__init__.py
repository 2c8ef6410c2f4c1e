"""Tests of gaia_checks and gaia_server, mirroring their trees."""
