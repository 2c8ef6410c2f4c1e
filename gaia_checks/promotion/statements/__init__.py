"""Signed statements: what they contain, whose signature counts, and where they are recorded."""
