"""Tests of gaia_checks.recorders.resources."""
