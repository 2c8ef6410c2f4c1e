"""Tests of gaia_checks.load.http."""
