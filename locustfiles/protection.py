r"""Checks that limits protect other clients: some clients flood at ten times their limit beside well-behaved ones.

    locust -f locustfiles/protection.py --headless --rate 200 -t 60s --host http://127.0.0.1:8711 \
      --success 99.9%

Half of the requests are floods, each under a key with its own rule, created and removed here. The thresholds apply to
the well-behaved clients; a flood fails the load when more of it is admitted than its rule allows.
"""

from gaia_checks.locustfile import API, Mix, OpenLoopUser, Request, Rules

LIST = frozenset({"items", "total"})
TIMES = 10  # rate of a flood, as a multiple of its limit
FLOODS = 5  # at most; fewer if their limits would fall below 1 a second


class Protection(OpenLoopUser):
    """Well-behaved clients, and some that flood."""

    rules: Rules

    def prepare(self) -> None:
        """Create the rules of the floods, and one for the well-behaved clients."""
        self.rules = Rules(self.exchange)
        if self.own_key:
            self.rules.add(self.key, per_s=self.far_above_rate())
        floods = max(1, min(FLOODS, int(self.rate_per_s / 2 / TIMES)))
        per_s = max(1, int(self.rate_per_s / 2 / TIMES / floods))
        self.mix = Mix(
            [
                Request("GET", f"{API}/usage?limit=20", weight=20, keys=LIST),
                Request("GET", f"{API}/violations?limit=20", weight=20, keys=LIST),
                Request("GET", "/health", weight=10, keys=frozenset({"status"})),
                *(self.flood(number, per_s, weight=50 / floods) for number in range(floods)),
            ]
        )

    def flood(self, number: int, per_s: int, weight: float) -> Request:
        """Create one flood's rule and return its request."""
        key = f"{self.key}-flood-{self.worker}-{number}"
        self.rules.add(key, per_s=per_s)
        return Request(
            "GET", f"{API}/usage?limit=1", weight=weight, name=f"flood {number + 1}", headers={"X-API-Key": key},
            expected=frozenset({200, 429}), json=True, flood=True, at_most_per_s=per_s,
        )  # fmt: skip

    def clean_up(self) -> None:
        """Remove the rules and their counts."""
        self.rules.remove()
