r"""Quota administration traffic: mostly reads, and an occasional update of one rule, created and removed here.

    locust -f locustfiles/quotas.py --headless --rate 100 -t 60s --host http://127.0.0.1:8711 \
      --success 99.95% --p99 100ms

If set, GAIA_ADMIN_TOKEN and GAIA_API_KEY go with every request. Without a key the load generates one, with a rule that
does not limit it.
"""

from gaia_checks.locustfile import API, Mix, OpenLoopUser, Request, Rules

LIST = frozenset({"items", "total"})


def mix(rule: str, body: dict[str, object]) -> Mix:
    """Return the traffic; `rule` is the path of the one rule that it reads, and updates with `body`."""
    return Mix(
        [
            Request("GET", f"{API}/usage?limit=20", weight=30, keys=LIST),
            Request("GET", f"{API}/config?limit=20", weight=20, keys=LIST),
            Request("GET", f"{API}/violations?limit=20", weight=20, keys=LIST),
            Request("GET", f"{API}/analytics", weight=10, json=True),
            Request("GET", rule, weight=10, keys=frozenset({"id", "rule_name"}), name=f"{API}/config/{{id}}"),
            Request("GET", "/health", weight=9, keys=frozenset({"status"})),
            Request("PUT", rule, weight=1, body=body, keys=frozenset({"id"}), name=f"{API}/config/{{id}}"),
        ]
    )


class Administrators(OpenLoopUser):
    """Administrators who read and update quotas."""

    rules: Rules

    def prepare(self) -> None:
        """Create the rule that the mix reads and updates. It is disabled and applies to an unused key."""
        self.rules = Rules(self.exchange)
        if self.own_key:
            self.rules.add(self.key, per_s=self.far_above_rate())
        path, body = self.rules.add(f"{self.key}-load-{self.worker}", per_s=1, enabled=False)
        self.mix = mix(path, body)

    def clean_up(self) -> None:
        """Remove what was created."""
        self.rules.remove()
