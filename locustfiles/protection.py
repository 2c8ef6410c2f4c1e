r"""Does the limit protect the others: one client floods at ten times its limit beside good clients, measured apart.

    locust -f locustfiles/protection.py --headless --rate 100 -t 60s --host http://127.0.0.1:8711 \
      --success 99.9%

Half of the requests are the flood's, all under one key with a rule of its own, made and removed here. The thresholds
are for the good clients; the flood fails the load when more of it is admitted than its rule allows.
"""

from gaia_checks.load.engine import OpenLoopUser
from gaia_checks.load.mix import Mix, Request
from gaia_checks.load.rules import API, Rules

LIST = frozenset({"items", "total"})
TIMES = 10  # the flood comes at so many times its limit


class Protection(OpenLoopUser):
    """Good clients, and one that floods."""

    rules: Rules

    def prepare(self) -> None:
        """Create the rule that the flood runs against, and one that keeps the good clients apart from others."""
        self.rules = Rules(self.exchange)
        if self.own_key:
            self.rules.add(self.key, per_s=self.far_above_rate())
        flood, per_s = f"{self.key}-flood-{self.worker}", max(1, int(self.rate_per_s / 2 / TIMES))
        self.rules.add(flood, per_s=per_s)
        self.mix = Mix(
            [
                Request("GET", f"{API}/usage?limit=20", weight=20, keys=LIST),
                Request("GET", f"{API}/violations?limit=20", weight=20, keys=LIST),
                Request("GET", "/health", weight=10, keys=frozenset({"status"})),
                Request(
                    "GET", f"{API}/usage?limit=1", weight=50, name="flood", headers={"X-API-Key": flood},
                    expected=frozenset({200, 429}), flood=True, at_most_per_s=per_s,
                ),
            ]
        )  # fmt: skip

    def clean_up(self) -> None:
        """Remove the rules, and all that was counted by them."""
        self.rules.remove()
