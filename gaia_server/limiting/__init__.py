"""The limiter: whose request it is, what the rules say, one call for all who wait."""
