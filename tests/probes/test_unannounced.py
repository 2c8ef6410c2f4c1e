"""The client that nothing announces: the real server limits it; a server that behaves only while measured does not."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.gate.run import traces
from gaia_checks.gate.run.enforcement import Enforcement
from gaia_checks.judge import criteria_file
from gaia_checks.model import Measurement, Target
from gaia_checks.probes import unannounced
from gaia_checks.probes.identity.own_rules import Standings
from gaia_checks.probes.unannounced import Exchange, UnannouncedAnswers
from gaia_checks.target.client import client
from gaia_checks.target.responses import CONFIG, QUOTAS
from tests.probes.servers import RUN, TOKEN, real, target
from tests.support import patched
from tests.support.patched import Change

PROMISED = criteria_file.load().for_stage("qa")


def gate(at: Target) -> Measurement:
    """Open and close a gate that measures nothing else."""
    enforcement = Enforcement(PROMISED)
    enforcement.before(at)
    at = replace(at, no_rules=traces.prepare(at, (), rate_per_s=100))
    enforcement.announced(at)
    with client(at) as http:
        http.get(f"{QUOTAS}/usage")
    if not at.no_rules:
        assert traces.remove(at, {RUN}) == []
    found = enforcement.after(at)
    assert found is not None
    return found


SQL, APP = "migrations/050_rate_limiting.sql", "gaia_server/http/app.py"
_APPLIES = "ON c.enabled AND c.scope = ANY"
_RESOURCE = '        resource = resource_type(scope["path"]) if scope["type"] == "http" else None\n'
_REFUSAL = "        refusal = None if decision.admitted else _refusal(decision, headers)\n"
_RECENT = "EXISTS (SELECT 1 FROM rate_limit_configs AS o WHERE o.created_at > clock_timestamp() - interval '1 hour'"
_LIMIT = "        headers = ratelimit_headers.headers(decision)\n"
BEFORE, AFTER = (f"{when}, a client without key and token: " for when in (unannounced.BEFORE, unannounced.AFTER))

FAULTS: Mapping[str, tuple[Change, str]] = {
    "enforces while a key has a rule of the last hour": (
        (SQL, _APPLIES, f"ON c.enabled AND {_RECENT} AND o.scope = 'api_key') AND c.scope = ANY"),
        f"{AFTER}the rule default-ip-second is enabled and not in force: no rule applied",
    ),
    "enforces once a token was sent": (
        (
            APP, _RESOURCE,
            _RESOURCE + "        self.__dict__.setdefault('sent', set()).update(dict(scope.get('headers', ())))\n"
            + "        resource = resource if b'authorization' in self.__dict__['sent'] else None\n",
        ),
        f"{BEFORE}the rule default-ip-second is enabled and not in force: no rule applied",
    ),
    "enforces for requests with a key": (
        (
            APP, _RESOURCE,
            _RESOURCE + "        resource = resource if b'x-api-key' in dict(scope.get('headers', ())) else None\n",
        ),
        f"{BEFORE}the rule default-ip-second is enabled and not in force: no rule applied",
    ),
    "counts without refusing, unless a key or a token is sent": (
        (
            APP, _REFUSAL,
            "        keyed = {b'x-api-key', b'authorization'} & dict(scope['headers']).keys()\n" + _REFUSAL.replace(
                "decision.admitted", "decision.admitted or not keyed"
            ),
        ),
        f"{BEFORE}13 requests within ",
    ),
    "sends the same headers to all without a key": (
        (
            APP, _LIMIT,
            _LIMIT + "        if b'x-api-key' not in dict(scope['headers']):\n"
            + "            headers = self.__dict__.setdefault('first', headers)\n",
        ),
        f"{BEFORE}after 10 requests 299 of 300 are left under default-ip-minute",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", ["", *FAULTS])
def test_a_server_that_behaves_only_while_it_is_measured_fails(postgres: str, tmp_path: Path, fault: str) -> None:
    """A small change of the server's source fails the measurement; the server as it is passes it."""
    changes, said = ([FAULTS[fault][0]], FAULTS[fault][1]) if fault else ([], "")
    program, migrations = patched.source(tmp_path, *changes)
    with (
        patched.migrated(postgres, "unannounced", migrations) as dsn,
        real(program, dsn, tmp_path / "server.log") as server,
    ):
        started_s = time.monotonic()
        found = gate(server)
        assert time.monotonic() - started_s < 6
    assert (found.value < found.n) == bool(fault), found
    assert any(said in note for note in found.notes) or not fault, found
    assert found.n == 10 or fault
    assert TOKEN not in repr(found)


def test_a_larger_limit_is_observed_and_not_exceeded(postgres: str, tmp_path: Path) -> None:
    """A few requests show that they are counted; a default rule that is edited meanwhile decides nothing."""
    program, migrations = patched.source(tmp_path)
    with (
        patched.migrated(postgres, "unannounced", migrations) as dsn,
        real(program, dsn, tmp_path / "server.log") as server,
        client(server, keyed=False) as http,
    ):
        second, minute, *_ = http.get(CONFIG, params={"scope": "ip"}).json()["items"]
        body = {name: second[name] for name in ("rule_name", "scope", "limit_type")}
        http.put(f"{CONFIG}/{second['id']}", json={**body, "limit_value": 21}).raise_for_status()
        observed = unannounced.observe(server)
        rules = traces.listed(server)
        found = unannounced.measured({unannounced.BEFORE: observed}, unannounced.in_force(rules, rules))
        http.delete(f"{CONFIG}/{minute['id']}").raise_for_status()
        lasting = unannounced.in_force(rules, traces.listed(server))
    assert [each.answer.status for each in observed.exchanges] == [401] * 5
    assert (found.value, found.n) == (4, 4), found
    assert [rule["rule_name"] for rule in lasting] == ["default-ip-second", "default-ip-hour", "default-global-second"]


def exchange(at_s: float, left: int, status: int = 401) -> Exchange:
    """One answer under a limit of ten a second and 300 a minute."""
    answer = Standings(
        status, {"second": 10, "minute": 300}, {"second": 0, "minute": left}, {"second": 1, "minute": 60}
    )
    return Exchange(at_s, at_s + 0.01, answer)


RULES = [
    {"rule_name": "second", "scope": "ip", "limit_type": "requests_per_second", "limit_value": 10},
    {"rule_name": "minute", "scope": "ip", "limit_type": "requests_per_minute", "limit_value": 300},
]


@pytest.mark.parametrize(
    ("exchanges", "good", "notes"),
    [
        ([exchange(number / 100, 299 - number) for number in range(11)], (2, 3), "11 requests within 0.11 s were all"),
        ([exchange(number / 10, 299 - number) for number in range(11)], (2, 2), None),
        ([exchange(number / 100, 150) for number in range(5)], (2, 3), "5 requests changed no remaining number: 150 "),
        ([exchange(0, 0), exchange(0.1, 0, 429)], (3, 3), None),
        ([exchange(number / 100, 0) for number in range(5)], (2, 2), None),
    ],
)
def test_what_the_answers_prove(exchanges: list[Exchange], good: tuple[int, int], notes: str | None) -> None:
    """Only what no healthy server would answer is a fault: others of the address, and a slow way, are none."""
    found = unannounced.measured({unannounced.AFTER: UnannouncedAnswers(exchanges)}, RULES)
    assert (found.value, found.n) == good, found
    assert [note.removeprefix(AFTER)[: len(notes or "")] for note in found.notes] == ([notes] if notes else [])


@pytest.mark.parametrize(
    ("observation", "rules", "why"),
    [
        (UnannouncedAnswers([exchange(0, 299)]), [], "no enabled rule limits clients without a key"),
        (UnannouncedAnswers((), "GET /x: no answer"), RULES, "after the gate's last rule: GET /x: no answer"),
    ],
)
def test_what_cannot_be_observed_decides_nothing(observation: UnannouncedAnswers, rules: list[Any], why: str) -> None:
    """The remarks of the report say why."""
    found = unannounced.measured({unannounced.AFTER: observation}, rules)
    assert (found.n, found.notes) == (0, (f"not checked: {why}",))


def test_no_listener_is_a_reason() -> None:
    """A server that is gone when the gate closes raises nothing."""
    observed = unannounced.observe(target(f"http://127.0.0.1:{free_port()}"))
    assert (observed.exchanges, observed.why) == ((), "GET /api/admin/quotas/usage: no answer: ConnectError")


def test_rules_that_cannot_be_listed_are_not_absent() -> None:
    """The remark does not say that there were none."""
    gone = target(f"http://127.0.0.1:{free_port()}")
    enforcement = Enforcement(PROMISED)
    enforcement.announced(gone)
    found = enforcement.after(gone)
    assert found is not None
    assert (found.n, found.notes) == (0, ("not checked: the rules in force could not be listed",))
