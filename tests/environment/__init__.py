"""Tests of environments and their files."""
