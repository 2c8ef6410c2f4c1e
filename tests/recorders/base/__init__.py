"""Tests of gaia_checks.recorders.base."""
