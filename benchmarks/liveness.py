"""Traffic that asks nothing of the database: what it notices of a swap is the swap's own doing.

The locustfile of `benchmarks.swaps`.
"""

from gaia_checks.load.locust_plugin.user import OpenLoopUser
from gaia_checks.load.plan.request_mix import Mix, Request


class Callers(OpenLoopUser):
    """Somebody who asks whether the server is there."""

    def prepare(self) -> None:
        """Ask for one thing only."""
        self.mix = Mix([Request("GET", "/livez", weight=1, keys=frozenset({"status"}))])
