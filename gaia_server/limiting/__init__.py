"""The limiter: the principal of a request, the rules, and one database call per batch of waiting requests."""
