"""Outages of the database on a rehearsal copy, and how servers bear them."""
