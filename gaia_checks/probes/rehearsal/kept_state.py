"""What a server must keep whenever it stops: rules and edited defaults, counts, alerts, and its last decisions."""

import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Target
from gaia_checks.probes.rehearsal.counted_rules import Counting, wrong_usage
from gaia_checks.target.client import client
from gaia_checks.target.responses import ALERTS, ANALYTICS, CONFIG, VIOLATIONS

LAST = VIOLATIONS
"""It is only requested while the server stops: the decisions about it are the last."""

_COUNTED = ("daily_quota", "requests_per_hour")
_LIMIT, _USED = 20, 7
_REFUSED = 110  # the alert fires above 100 refusals within a minute
_ALERT_S = 5.0
_FIRES_S = 55.0  # at least so long: a minute after the refusals it resolves, and a slow machine takes that to restart
_WHEN_RESOLVED = ("state", "resolved_value", "resolved_at")
_SUMMED_S = 3.0  # a decision is in the analytics within so long
_SET_BY_SERVER = ("id", "created_at", "updated_at")
_POLL_S = 0.05

Item = Mapping[str, Any]


class KeptState:
    """Rules, counts and an alert, stored through the server; `differences` compares them with what is listed later."""

    def __init__(self, target: Target) -> None:
        """Store them. Raises TargetUnreachable when the server refuses one, or fires no alert."""
        self.answered = 0  # of LAST, while the server stopped
        self._http = client(target)
        self._base_url = target.base_url
        counts = self._counts = Counting(self._http, target)
        counts.known()
        self._counted = [counts.rule(f"kept-{kind}", kind, _LIMIT) for kind in _COUNTED]
        refusing = counts.rule("kept-refusing", "requests_per_hour", 0)
        self._edit_defaults()
        counts.settle()
        for rule in self._counted:
            counts.send(rule, _USED)
        self._refused_s = time.monotonic()
        counts.send(refusing, _REFUSED)
        self._alerts = self._until_alerted()
        self._rules = self._listed(CONFIG)

    def differences(self) -> Iterator[str | None]:
        """Yield for the rules, each count and the alerts what is lost or changed; None for what is kept."""
        yield _first_difference("rule", "rule_name", self._rules, self._listed(CONFIG))
        for rule in self._counted:
            yield wrong_usage(rule, self._counts.usage(rule), used=_USED)
        alerts = self._listed(ALERTS)
        fires = time.monotonic() - self._refused_s < _FIRES_S
        yield _first_difference("alert", "name", self._alerts, alerts, () if fires else _WHEN_RESOLVED)
        yield self._uncounted()

    def close(self) -> None:
        """Close the connections; the rules go with the rehearsal copy."""
        self._http.close()

    def _edit_defaults(self) -> None:
        """Change the first of the default rules, disable the second, delete the third, as far as they exist."""
        defaults = [rule for rule in self._listed(CONFIG) if rule["scope"] != "api_key"]
        changes = ({"limit_value": defaults[0]["limit_value"] + 1} if defaults else {}, {"enabled": False})
        for rule, change in zip(defaults, changes, strict=False):
            body = {name: value for name, value in {**rule, **change}.items() if name not in _SET_BY_SERVER}
            self._counts.expect(200, "PUT", f"{CONFIG}/{rule['id']}", json=body)
        for rule in defaults[2:3]:
            self._counts.expect(204, "DELETE", f"{CONFIG}/{rule['id']}")

    def _until_alerted(self) -> list[Item]:
        deadline = time.monotonic() + _ALERT_S
        while not (alerts := self._listed(ALERTS)):
            if time.monotonic() > deadline:
                raise TargetUnreachable(
                    f"{self._base_url}: {_REFUSED} refusals fired no alert within {_ALERT_S:g} s; see qa.websocket_soak"
                )
            time.sleep(_POLL_S)
        return alerts

    def _uncounted(self) -> str | None:
        """Return which of the last decisions the analytics miss."""
        deadline = time.monotonic() + _SUMMED_S
        while (counted := self._counted_last()) < self.answered:
            if time.monotonic() > deadline:
                return f"GET {ANALYTICS} counts {counted} of {self.answered} requests answered while it stopped"
            time.sleep(_POLL_S)
        return None

    def _counted_last(self) -> int:
        """Return how many the analytics count; as many as there are where they have no parts by resource."""
        found = self._counts.expect(200, "GET", ANALYTICS, params={"minutes": 60}).json().get("by_resource")
        if found is None:
            return self.answered
        return sum(item["admitted"] for item in found if LAST.endswith(f"/{item['resource_type']}"))

    def _listed(self, path: str) -> list[Item]:
        items: list[Item] = self._counts.expect(200, "GET", path, params={"limit": 200}).json()["items"]
        return items


def _first_difference(
    what: str, name: str, before: list[Item], after: list[Item], but: Collection[str] = ()
) -> str | None:
    """Return the first item that was lost, added, or changed in another field than `but`. Pure."""
    old, new = ({item["id"]: item for item in items} for items in (before, after))
    for key, item in old.items():
        if key not in new:
            return f"the {what} {item[name]} is lost"
        for field, value in item.items():
            if field not in but and new[key].get(field) != value:
                return f"{field} of the {what} {item[name]} is {new[key].get(field)!r} instead of {value!r}"
    added = [item for key, item in new.items() if key not in old]
    return f"the {what} {added[0][name]} appeared by itself" if added else None
