"""The probe's temporary rule: it refuses, its refusals are listed, and it is always removed."""

import contextlib

import httpx
import pytest

from gaia_checks.model import Target
from gaia_checks.probes.dashboard import probe_rule
from gaia_checks.probes.dashboard.probe_rule import OwnRule, own_rule
from gaia_checks.target.client import client, key
from gaia_checks.target.responses import CONFIG
from tests.probes.servers import answering, serving, target


def rows(http: httpx.Client, rule: OwnRule) -> dict[str, int]:
    """Count what the server stores for the rule."""
    queries = {"config": {"rule_name": rule.name}, "usage": {"key": f"api_key:{rule.name}"}}
    queries["violations"] = queries["usage"]
    return {
        kind: http.get(f"/api/admin/quotas/{kind}", params=given).json()["total"] for kind, given in queries.items()
    }


def test_each_refusal_is_a_violation_of_its_own(server: Target) -> None:
    """The rule carries the run's name, may be created twice, and leaves nothing."""
    with client(server) as http:
        with own_rule(server, http, "test") as rule:
            assert rule.name == f"{key(server)}-test"
            rule.make()
            rule.make()
            assert [rule.be_refused(), rule.be_refused()] == [None, None]
            assert rows(http, rule) == {"config": 1, "usage": 1, "violations": 2}
        assert rows(http, rule) == {"config": 0, "usage": 0, "violations": 0}


def test_it_goes_when_the_look_breaks(server: Target) -> None:
    """An error or an interrupt propagates after the rule is removed."""
    with client(server) as http:
        with contextlib.suppress(KeyboardInterrupt), own_rule(server, http, "test") as rule:
            rule.make()
            raise KeyboardInterrupt
        assert rows(http, rule)["config"] == 0


def test_a_limiter_that_refuses_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a refusal, the reason names the setting to check."""
    monkeypatch.setattr(probe_rule, "_REFUSED_WITHIN_S", 0.3)
    empty = answering(CONFIG, {"items": [], "total": 0, "limit": 1, "offset": 0})
    with serving(empty) as url, client(target(url)) as http, own_rule(target(url), http, "test") as rule:
        assert rule.be_refused() == (
            "a key limited to one request a minute was not refused, but answered 200; is RATE_LIMIT_ENABLED true?"
        )
