"""The SQL."""
