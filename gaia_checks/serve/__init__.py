"""`gaia serve`: every environment on one live, read-only page."""
