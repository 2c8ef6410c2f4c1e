"""Checks that the server answers: the health endpoint, which is never rate limited.

locust -f locustfiles/smoke.py --headless --rate 5 -t 10s --host http://127.0.0.1:8711
"""

from gaia_checks.locustfile import Mix, OpenLoopUser, Request


class Smoke(OpenLoopUser):
    """Requests only the health endpoint."""

    mix = Mix([Request("GET", "/health", keys=frozenset({"status", "version", "checks"}))])
