"""Traffic that does not use the database, so that any effect of a swap is caused by the swap itself.

The locustfile of `benchmarks.swaps`.
"""

from gaia_checks.load.locust_plugin.user import OpenLoopUser
from gaia_checks.load.plan.request_mix import Mix, Request


class Callers(OpenLoopUser):
    """Requests the liveness endpoint."""

    def prepare(self) -> None:
        """Set the mix: one request only."""
        self.mix = Mix([Request("GET", "/livez", weight=1, keys=frozenset({"status"}))])
