"""The load as data: the request mix and the arrival schedule."""
