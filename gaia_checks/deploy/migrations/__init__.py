"""Migrations: their files, lint, runner, round-trip check, and restoring a dump."""
