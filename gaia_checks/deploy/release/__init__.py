"""Releases: build, download, describe and link them, and find the rollback target."""
