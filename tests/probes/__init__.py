"""Tests of the short looks."""
