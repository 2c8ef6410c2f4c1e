"""Who is counted for requests that a proxy forwards: the client, in one form, if the proxy is trusted.

Each address has a rule of its own, so the headers of an answer name whom the server counted.
"""

import time
from collections.abc import Iterator, Mapping

import httpx

from gaia_checks.probes.fresh_install.fresh_servers import (
    FORWARDED,
    OTHER,
    PROXY,
    Installation,
    Sample,
    administrator,
    nobody,
    rule,
    unless,
)
from gaia_checks.probes.identity.own_rules import standings
from gaia_checks.target.temporary_rules import SETTLE_S

_LIMIT = 1000
_ADA, _SIX, _MAPPED, _UPPER, _USER = "192.0.2.7", "2001:db8:0:7::/64", "192.0.2.8", "2001:db8:0:8::/64", "ada"
_RULES = {
    _ADA: ("ip", _ADA),
    _SIX: ("ip", _SIX),
    _MAPPED: ("ip", "::ffff:192.0.2.8"),
    _UPPER: ("ip", "2001:DB8:0:8::1"),
    _USER: ("user", _USER),
    PROXY: ("ip", PROXY),
}
"""Who is counted -> scope and value of the rule, also as a person may write it; last the one that creates them."""

_REQUESTS: tuple[tuple[Mapping[str, str], str | None], ...] = (
    ({}, PROXY),
    ({FORWARDED: "192.0.2.7"}, _ADA),
    ({FORWARDED: "192.0.2.7:4711"}, _ADA),
    ({FORWARDED: "::ffff:192.0.2.7"}, _ADA),
    ({FORWARDED: "198.51.100.1, 192.0.2.7"}, _ADA),
    ({FORWARDED: "192.0.2.7, 127.0.0.1"}, _ADA),
    ({FORWARDED: "192.0.2.7, 198.51.100.1"}, None),
    ({"Forwarded": "for=198.51.100.1, for=192.0.2.7;proto=https"}, _ADA),
    ({"Forwarded": 'for="[2001:db8:0:7::9]:4711"'}, _SIX),
    ({FORWARDED: "2001:db8:0:7::1"}, _SIX),
    ({FORWARDED: "2001:DB8:0:7:ffff::2"}, _SIX),
    ({FORWARDED: "2001:db8:0:9::1"}, None),
    ({FORWARDED: "192.0.2.8"}, _MAPPED),
    ({FORWARDED: "2001:db8:0:8:1::"}, _UPPER),
    ({FORWARDED: "unknown"}, PROXY),
    ({FORWARDED: "192.0.2.7", "Forwarded": "for=198.51.100.1"}, PROXY),
    ({FORWARDED: "192.0.2.7", "X-User-ID": _USER}, _USER),
)
"""Headers that a trusted proxy sends -> who is counted; None: somebody without a rule."""


def samples(installed: Installation) -> Iterator[Sample]:
    """Yield one sample for each request to a server that trusts the proxy, and the same of one that does not."""
    with administrator(installed.behind_proxy) as admin:
        made = {whom: rule(admin, installed.name(f"of {whom}"), *of, _LIMIT) for whom, of in _RULES.items()}
    names = {whom: str(each["rule_name"]) for whom, each in made.items()}
    left = dict.fromkeys(_RULES, _LIMIT)
    with nobody(installed.behind_proxy) as behind, nobody(installed.direct) as direct:
        for headers, whom in _REQUESTS:
            yield _wrong(behind, headers, whom, names, left, "through a trusted proxy")
        time.sleep(SETTLE_S)
        for headers, _ in _REQUESTS:
            yield _wrong(direct, headers, PROXY, names, left, "from anybody")


def _wrong(
    http: httpx.Client,
    headers: Mapping[str, str],
    whom: str | None,
    names: Mapping[str, str],
    left: dict[str, int],
    sent: str,
) -> Sample:
    """Return the fault unless exactly the rule of `whom` counts a request: each rule has so many `left` before it."""
    remaining = standings(http.get(OTHER, headers=headers)).remaining
    found = {each: remaining[name] for each, name in names.items() if name in remaining}
    right = {whom: left[whom] - 1} if whom else {}
    left.update(found)
    says = ", ".join(f"{name}: {value}" for name, value in headers.items()) or "no header"
    return unless(found == right, f"{says} ({sent}) counts for {_texts(found)}, should be {_texts(right)}")


def _texts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{whom} ({left} left)" for whom, left in found.items()) or "nobody with a rule"
