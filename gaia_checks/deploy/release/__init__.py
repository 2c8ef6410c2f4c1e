"""Releases: built or downloaded, described, linked, and rolled back to."""
