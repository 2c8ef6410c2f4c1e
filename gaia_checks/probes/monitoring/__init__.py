"""The metrics, and the queries that are shipped for them."""
