"""Clients without a token: whatever they claim, they are counted by their address, under every rule for all.

A request under a window's rule leaves at most the limit minus those that this connection was admitted before: one that
leaves more was counted as somebody else. Other clients of the address only make it less.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from gaia_checks.model import Measurement, Target
from gaia_checks.probes.identity.own_rules import OTHER, SPACING_S, Standings, TemporaryRules, standings
from gaia_checks.target.samples import Score, Watch

_WINDOWS = ("requests_per_hour", "requests_per_minute")
_FORWARDED, _USER = "X-Forwarded-For", "X-User-ID"
_SPOOFED = (
    (_FORWARDED, "198.51.100.7"),
    ("Forwarded", "for=198.51.100.8"),
    ("X-Real-IP", "198.51.100.9"),
    ("X-Client-IP", "198.51.100.10"),
    ("True-Client-IP", "198.51.100.11"),
    ("X-API-Key", "an-invented-key"),
    (_USER, "an-invented-user"),
    ("X-Session-ID", "an-invented-session"),
)


def claims(watch: Watch, target: Target, own: TemporaryRules, nobody: httpx.Client) -> list[Measurement]:
    """Measure `identity.claims_refused` and `identity.defaults_in_force`."""
    before = own.applying_to_all()
    answers = dict(_answers(nobody))
    lasting = {name: rule for name, rule in own.applying_to_all().items() if rule == before.get(name)}
    return [_refused(watch, target, lasting, answers), _defaults(watch, lasting, answers[""])]


def _answers(nobody: httpx.Client) -> Iterator[tuple[str, Standings]]:
    """Yield header -> answer; first one without any."""
    for name, value in (("", ""), *_SPOOFED):
        yield name, standings(nobody.get(OTHER, headers={name: value} if name else {}))
        time.sleep(SPACING_S)


def _refused(watch: Watch, target: Target, rules: Mapping[str, Any], answers: Mapping[str, Standings]) -> Measurement:
    name, how = "identity.claims_refused", "requests without a token that claim another address, user, session or key"
    windows = [
        rule for kind in _WINDOWS for rule in rules.values() if (rule["scope"], rule["limit_type"]) == ("ip", kind)
    ]
    if not windows:
        return watch.measurement(
            name, 0, "count", 0, how, ("no rule per minute or hour counts all addresses: create one",)
        )
    tally, wrong, admitted = Score(), {}, 0
    for header, answer in answers.items():
        admitted += answer.status != httpx.codes.TOO_MANY_REQUESTS
        if header:
            wrong[header] = _believed(header, answer, windows[0], admitted)
    if wrong[_FORWARDED] and wrong[_USER] and target.trusted_proxies != "":
        why = "the gate's address is a trusted proxy: take it out of TRUSTED_PROXIES, or gate from elsewhere"
        return watch.measurement(name, 0, "count", 0, how, (why,))
    for each in wrong.values():
        tally.add(each)
    return watch.counted(name, tally, how)


def _believed(header: str, answer: Standings, rule: Mapping[str, Any], admitted: int) -> str | None:
    left = answer.remaining.get(rule["rule_name"])
    if left is None:
        return f"{header} is believed from anybody: {rule['rule_name']} does not apply, but {answer.named}"
    if left > max(0, rule["limit_value"] - admitted):
        return (
            f"{header} is believed from anybody: after {admitted} requests {left} of {rule['limit_value']} are left "
            f"under {rule['rule_name']}"
        )
    return None


def _defaults(watch: Watch, rules: Mapping[str, Any], answer: Standings) -> Measurement:
    tally, name = Score(), "identity.defaults_in_force"
    how = "enabled rules for all addresses and global ones, in the headers of a request without a token"
    for rule in rules.values():
        applies = answer.limits.get(rule["rule_name"]) == rule["limit_value"]
        tally.add(
            None if applies else f"the rule {rule['rule_name']} is enabled and is not in force: {answer.named} apply"
        )
    if not rules:
        why = "no enabled rule limits clients without a key: restore the default rules"
        return watch.measurement(name, 0, "count", 0, how, (why,))
    return watch.counted(name, tally, how)
