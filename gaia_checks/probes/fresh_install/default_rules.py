"""Whether the default rules of a new database are in force: all of them, for clients without token and key."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from gaia_checks.errors import Inconclusive
from gaia_checks.probes.fresh_install.fresh_servers import (
    OTHER,
    PROXY,
    REFUSED,
    Installation,
    Sample,
    administrator,
    listed,
    nobody,
)
from gaia_checks.probes.identity.own_rules import Standings, standings
from gaia_checks.target import rules
from gaia_checks.target.responses import VIOLATIONS

_QUICK = 50  # anonymous requests reach a limit (docs/contract.md, Database)
_QUICK_S = 2.0  # that many within this time are quick
_AT_ONCE = 10
_TRIES = 5
_SECOND_S = 1.1  # in which a limit per second forgets what it admitted


def samples(installed: Installation) -> Iterator[Sample]:
    """Yield whether quick requests reach a limit and are listed, and one sample for each default rule."""
    with nobody(installed.direct) as http, administrator(installed.direct) as admin:
        found = _quickly(http)
        refused = any(each.status == REFUSED for each in found)
        yield None if refused else f"{_QUICK} quick requests without a token reach no limit: {_counted(found)}"
        if refused:
            yield _not_among_violations(admin)
        default = listed(admin)
        yield None if default else "no rule exists in a new database"
        applied = {name: limit for each in found for name, limit in each.limits.items()}
        yield from (_not_in_force(rule, applied) for rule in default)


def _quickly(http: httpx.Client) -> list[Standings]:
    """Send them; again if this machine was slow. Raises Inconclusive when it always is."""
    for _ in range(_TRIES):
        started_s = time.monotonic()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = list(pool.map(lambda _: standings(http.get(OTHER)), range(_QUICK)))
        took_s = time.monotonic() - started_s
        if took_s < _QUICK_S or any(each.status == REFUSED for each in found):
            return found
        time.sleep(_SECOND_S)
    raise Inconclusive(f"{_QUICK} requests took {took_s:.1f} s each time: this machine is too busy")


def _not_among_violations(admin: httpx.Client) -> Sample:
    listing = rules.send(admin, "GET", VIOLATIONS, params={"key": f"ip:{PROXY}"})
    hits = sum(item.get("hits", 0) for item in listing.json().get("items", ())) if listing.is_success else 0
    return None if hits else f"the refusals of ip:{PROXY} are not in GET {VIOLATIONS}"


def _not_in_force(rule: dict[str, Any], applied: dict[str, int]) -> Sample:
    name = rule["rule_name"]
    if not rule["enabled"]:
        return f"the default rule {name} is disabled"
    for_all = rule["scope"] in ("ip", "global") and rule["scope_value"] is None and rule["resource_type"] is None
    if for_all and applied.get(name) != rule["limit_value"]:
        return (
            f"the default rule {name} is enabled and is not in force: {', '.join(sorted(applied)) or 'no rule'} apply"
        )
    return None


def _counted(found: list[Standings]) -> str:
    return ", ".join(f"{number} were answered {status}" for status, number in Counter(e.status for e in found).items())
