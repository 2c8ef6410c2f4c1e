"""The `gaia` command: what a user types, sees and gets."""
