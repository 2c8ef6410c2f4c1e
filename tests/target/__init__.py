"""Tests of how the target is talked to."""
