"""The identity probe: the real server counts everybody as themselves; each kind of mistaken identity is named."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.identity import identity_probe
from gaia_checks.target.client import client
from gaia_checks.target.responses import CONFIG, QUOTAS
from tests.probes.modified import modified
from tests.probes.servers import TOKEN, target
from tests.support.patched import Change


def look(at: Target) -> dict[str, Measurement]:
    """Run the probe and return its measurements, without the prefix of their names."""
    return {observed.name.removeprefix("identity."): observed for observed in identity_probe.probe(at)}


def test_the_real_server_counts_everybody_as_themselves(server: Target) -> None:
    """Every rule is in force, every budget separate, every change applied; no rule or reputation is left."""
    observed = look(server)
    assert {name: each.notes for name, each in observed.items()} == dict.fromkeys(observed, ())
    assert {name: each.value - each.n for name, each in observed.items()} == dict.fromkeys(observed, 0)
    assert observed["rules_in_force"].n >= 20
    assert observed["budgets"].n >= 40
    assert observed["defaults_in_force"].n == 4
    assert TOKEN not in repr(observed)
    with client(server) as http:
        rules = http.get(CONFIG, params={"limit": 200}).json()["items"]
        assert [rule["rule_name"] for rule in rules if "identity" in rule["rule_name"]] == []
        assert http.get(f"{QUOTAS}/reputation").json()["total"] == 0


SQL, PRINCIPALS = "migrations/050_rate_limiting.sql", "gaia_server/limiting/principals.py"
_KEY = "ELSE a.scope || ':' || a.name END"
_ENABLED = "ON c.enabled AND c.scope = ANY"
_COUNTED_BY = """IF (NEW.scope, NEW.scope_value, NEW.limit_type, NEW.resource_type)
        IS DISTINCT FROM (OLD.scope, OLD.scope_value, OLD.limit_type, OLD.resource_type)
"""
_NAMED = "AND coalesce(c.scope_value, '') = ANY (ARRAY['', a.name])"

FAULTS: Mapping[str, tuple[Change, str, str]] = {
    "long names are counted as one": (
        (SQL, _KEY, "ELSE a.scope || ':' || left(a.name, 64) END"),
        "budgets",
        "must not share a budget",
    ),
    "upper and lower case are counted as one": (
        (SQL, _KEY, "ELSE a.scope || ':' || lower(a.name) END"),
        "budgets",
        "must not share a budget",
    ),
    "a rule counts all names that begin with its own": (
        (SQL, _NAMED, "AND (c.scope_value IS NULL OR starts_with(a.name, c.scope_value))"),
        "budgets",
        "is counted as",
    ),
    "a rule counts all resources": (
        (SQL, "WHERE c.resource_type IS NULL OR c.resource_type = a.resource", "WHERE true"),
        "budgets",
        "rules of other resources apply",
    ),
    "a user's name replaces the key": (
        (PRINCIPALS, "if api_key in named_keys:", 'if api_key in named_keys and "x-user-id" not in headers:'),
        "budgets",
        "counts as ['user'], should be ['api_key']",
    ),
    "a forwarding header is believed from anybody": (
        (PRINCIPALS, "(forwarding.client(headers, trusted_proxies) if from_proxy else None)",
         "forwarding.client(headers, trusted_proxies)"),
        "claims_refused", "X-Forwarded-For is believed from anybody: after 2 requests",
    ),
    "a user's name is believed from anybody": (
        (PRINCIPALS, " and (from_proxy or is_admin())", ""),
        "claims_refused", "X-User-ID is believed from anybody",
    ),
    "everybody is a trusted proxy": (
        (PRINCIPALS, "from_proxy = forwarding.is_trusted(connected, trusted_proxies)", "from_proxy = True"),
        "claims_refused", "X-Forwarded-For is believed from anybody",
    ),
    "an invented key has a budget of its own": (
        (PRINCIPALS, "if api_key in named_keys:", "if api_key:"),
        "claims_refused", "X-API-Key is believed from anybody",
    ),
    "sessions are not recognized": (
        (PRINCIPALS, '(("user", "x-user-id"), ("session", "x-session-id"))', '(("user", "x-user-id"),)'),
        "rules_in_force", "-identity-session-requests_per_second was accepted (201, enabled) and is not in force",
    ),
    "weekly quotas are forgotten": (
        (SQL, _ENABLED, "ON c.enabled AND c.limit_type <> 'weekly_quota' AND c.scope = ANY"),
        "rules_in_force", "weekly_quota was accepted (201, enabled) and is not in force",
    ),
    "a key escapes the global rules": (
        (SQL, "c.scope = ANY (ARRAY['global', a.scope])",
         "c.scope = ANY (ARRAY[CASE a.scope WHEN 'api_key' THEN a.scope ELSE 'global' END, a.scope])"),
        "rules_in_force", "the global rule default-global-second does not apply to a request with X-API-Key",
    ),
    "logins are not limited": (
        ("gaia_server/http/app.py", '        return "login"', "        return None"),
        "budgets", "-identity-on-login was accepted (201, enabled) and is not in force",
    ),
    "a disabled rule still refuses": (
        (SQL, _ENABLED, "ON c.scope = ANY"),
        "changes_in_force", "-identity-user-disabled was disabled, and still applies: status 429",
    ),
    "a key whose rule is gone escapes its address's rules": (
        ("gaia_server/app_state.py", "self.named_keys = frozenset(",
         "self.named_keys = (self.named_keys or frozenset()) | frozenset("),
        "changes_in_force", "escapes its address's rules",
    ),
    "a changed limit starts anew": (
        (SQL, _COUNTED_BY, "IF true\n"),
        "changes_in_force", "was raised to 10 a second ago: after 2 requests, q and r are (10, 9)",
    ),
    "a default rule is not in force": (
        (SQL, _ENABLED, "ON c.enabled AND c.rule_name <> 'default-ip-minute' AND c.scope = ANY"),
        "defaults_in_force", "the rule default-ip-minute is enabled and is not in force",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mistaken_identity_is_named(postgres: str, tmp_path: Path, fault: str) -> None:
    """A small change of the server's source or SQL fails the measurement that is about it."""
    change, measurement, said = FAULTS[fault]
    with modified(postgres, tmp_path, change) as at:
        observed = look(replace(at, trusted_proxies=""))[measurement]
    assert observed.value < observed.n
    assert any(said in note for note in observed.notes), observed.notes


def test_a_gate_at_a_trusted_proxy_decides_nothing(postgres: str, tmp_path: Path) -> None:
    """Where the server may rightly believe the gate, its claims have no samples, but a reason."""
    with modified(postgres, tmp_path, TRUSTED_PROXIES="127.0.0.1") as at:
        observed = look(at)["claims_refused"]
    assert (observed.n, observed.notes[0].startswith("the gate's address is a trusted proxy")) == (0, True)


def test_no_listener_is_unreachable() -> None:
    """Without a listener the probe raises TargetUnreachable."""
    with pytest.raises(TargetUnreachable, match="is it running"):
        look(target(f"http://127.0.0.1:{free_port()}"))
