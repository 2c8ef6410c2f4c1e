"""A day at the quota administration: mostly reading, now and then a change of one rule, which is made and removed here.

    locust -f locustfiles/quotas.py --headless --rate 100 -t 60s --host http://127.0.0.1:8711

GAIA_API_KEY and GAIA_ADMIN_TOKEN, when set, go with every request.
"""

import json

from gaia_checks.load.engine import OpenLoopUser
from gaia_checks.load.http import NoReply
from gaia_checks.load.mix import Mix, Request

API = "/api/admin/quotas"
LIST = frozenset({"items", "total"})


def mix(rule: str, body: dict[str, object]) -> Mix:
    """Return the traffic; `rule` is the path of the one rule that it reads and rewrites with `body`."""
    return Mix(
        [
            Request("GET", f"{API}/usage?limit=20", weight=30, keys=LIST),
            Request("GET", f"{API}/config?limit=20", weight=20, keys=LIST),
            Request("GET", f"{API}/violations?limit=20", weight=20, keys=LIST),
            Request("GET", f"{API}/analytics", weight=10),
            Request("GET", rule, weight=10, keys=frozenset({"id", "rule_name"}), name=f"{API}/config/{{id}}"),
            Request("GET", "/health", weight=9, keys=frozenset({"status"})),
            Request("PUT", rule, weight=1, body=body, keys=frozenset({"id"}), name=f"{API}/config/{{id}}"),
        ]
    )


class Administrators(OpenLoopUser):
    """People who look at quotas."""

    rule: str | None = None

    def prepare(self) -> None:
        """Create the rule that the mix reads and rewrites. It is switched off and names a key that nobody has."""
        name = f"{self.key or 'gaia-load-by-hand'}-load-{self.worker}"
        body: dict[str, object] = {
            "rule_name": name,
            "scope": "api_key",
            "scope_value": name,
            "limit_type": "requests_per_minute",
            "limit_value": 1,
            "enabled": False,
        }
        reply = self.exchange("POST", f"{API}/config", body)
        if reply.status != 201:
            raise NoReply(f"POST {API}/config: status {reply.status} instead of 201; the load needs a rule of its own")
        self.rule = f"{API}/config/{json.loads(reply.body)['id']}"
        self.mix = mix(self.rule, body)

    def clean_up(self) -> None:
        """Remove the rule."""
        if self.rule is not None:
            self.exchange("DELETE", self.rule)
