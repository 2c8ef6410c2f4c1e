"""Migrations: files, checks of them, and the runner that applies them."""
