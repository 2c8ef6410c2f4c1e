"""Whether a server bears the outages of its database: stopped, restarted, frozen, out of connections.

Two servers share the database of a rehearsal copy, one for each value of RATE_LIMIT_ON_DB_DOWN. Clients send to both
all the time.
"""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx

from gaia_checks.errors import GaiaError
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol
from gaia_checks.probes.rehearsal.counted_rules import CountedRule, counting
from gaia_checks.probes.rehearsal.outage_clients import (
    ADMITTED,
    PATH,
    REFUSED,
    UNDECIDED,
    OutageClients,
    OutageTimes,
    until,
)
from gaia_checks.target import postgres_session
from gaia_checks.target.client import client
from gaia_checks.target.samples import Score, Watch

SETTING = "RATE_LIMIT_ON_DB_DOWN"

_LIMIT = 150  # for each outage; its clients use it up
_SOME = 20  # requests decided before each outage
_SHORT = ("restarted",)
"""Outages that are over at once: nothing is expected while they last."""

_REPORTED_S = 5.0  # /health answers about 2 s after the start of an outage
_RECOVERED_S = 10.0  # how long recovery is awaited; 5 s are promised
_POLL_S = 0.05
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gaia_server'"
_MEASURED = {
    "answers": "count",
    "health": "count",
    "recovery": "s",
    "beyond_limit": "count",
    "sessions_leaked": "count",
}

Health = tuple[int, Any, Any]
"""The status of /health, and what it reports of the database and of rate limiting."""


@dataclass
class _Observed:
    """The observations of all outages."""

    answers: Score = field(default_factory=Score)
    health: Score = field(default_factory=Score)
    recovery_s: dict[str, float] = field(default_factory=dict)
    admitted: dict[str, int] = field(default_factory=dict)  # by the server that denies


def probe(_target: Target, *, copy: AbstractContextManager[BareCopyProtocol]) -> list[Measurement]:
    """Measure `outage.*`, all on a rehearsal copy; without one they have no samples, but a reason."""
    watch = Watch()
    try:
        with copy as place:
            return on_copy(place)
    except GaiaError as error:
        how = "on a rehearsal copy"
        return [watch.measurement(f"outage.{name}", 0, unit, 0, how, (str(error),)) for name, unit in _MEASURED.items()]


def on_copy(place: BareCopyProtocol) -> list[Measurement]:
    """Start a server for each setting, let the database fail in each way, and look at every answer."""
    watch, observed = Watch(), _Observed()
    with ThreadPoolExecutor(2) as pool:
        servers = list(pool.map(lambda word: place.start(**{SETTING: word}), ("deny", "allow")))
    denying, allowing = (server.target for server in servers)
    outages = {
        "stopped": place.stopped,
        "restarted": place.stopped,
        "frozen": place.frozen,
        "out of connections": place.out_of_connections,
    }
    with counting(denying) as counts:
        counts.known()
        refusing = counts.rule("outage-refusing", "requests_per_hour", 0)
        rules = {name: counts.rule(f"outage-{name}".replace(" ", "-"), "requests_per_hour", _LIMIT) for name in outages}
        counts.settle()
        for target in (denying, allowing):  # a server may open its sessions on demand
            with client(target) as http:
                http.get(PATH)
        sessions = max(_own_sessions(denying, allowing) for _ in _polls(0.5))
        for name, rule in rules.items():
            _outage(name, outages[name](), (denying, rule), (allowing, refusing), observed)
        leaked = _leaked(denying, allowing, sessions)
    return _measurements(watch, observed, leaked)


def _outage(
    name: str,
    outage: AbstractContextManager[None],
    denying: tuple[Target, CountedRule],
    allowing: tuple[Target, CountedRule],
    observed: _Observed,
) -> None:
    """Let the database fail while clients send, until the limit is used up after it."""
    times = OutageTimes()
    with (
        OutageClients(denying[0], denying[1].key, allows=False) as denied,
        OutageClients(allowing[0], allowing[1].key, allows=True) as allowed,
    ):
        until(lambda: min(len(denied.replies), len(allowed.replies)) >= _SOME, _RECOVERED_S)
        times.starts_s = time.monotonic()
        with outage:
            times.away_s = time.monotonic()
            if name not in _SHORT:
                _look_while_away(name, denying[0], allowing[0], observed)
                until(
                    lambda: denied.any_since(times.away_s, UNDECIDED) and allowed.any_since(times.away_s, ADMITTED),
                    _REPORTED_S,
                )
            times.ends_s = time.monotonic()
        times.back_s = time.monotonic()
        recovered_s = _recovered_s(denied, allowed, denying[0], allowing[0], times.back_s)
        until(lambda: denied.any_since(times.back_s, REFUSED), _RECOVERED_S)
    recovered_s = max(recovered_s, denied.last_undecided_s(), allowed.last_undecided_s())
    observed.recovery_s[name] = recovered_s - times.back_s
    for clients in (denied, allowed):
        for reply in clients.replies:
            wrong = clients.wrong(reply, times)
            observed.answers.add(f"{name}: {wrong}" if wrong else None)
    observed.admitted[name] = sum(reply.status == ADMITTED for reply in denied.replies)


def _look_while_away(name: str, denying: Target, allowing: Target, observed: _Observed) -> None:
    """Wait until /health of both servers reports the outage."""
    expected: list[Health] = [(503, "disconnected", word) for word in ("denying", "allowing")]
    with ThreadPoolExecutor(2) as pool:  # each answer may take 2 s
        for found, should in zip(pool.map(_reported, (denying, allowing), expected), expected, strict=True):
            observed.health.add(f"{name}: GET /health reports {found}, should be {should}" if found != should else None)


def _reported(target: Target, expected: Health) -> Health:
    """Return what /health reports once it is as expected, or after some time."""
    deadline = time.monotonic() + _REPORTED_S
    with client(target) as http:
        while (found := _health(http)) != expected and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    return found


def _health(http: httpx.Client) -> Health:
    """Return what /health reports; 0 without an answer."""
    with contextlib.suppress(httpx.HTTPError, ValueError, LookupError, TypeError):
        answer = http.get("/health")
        checks = answer.json()["checks"]
        return answer.status_code, checks["database"]["status"], checks["rate_limiting"]["status"]
    return 0, None, None


def _recovered_s(
    denied: OutageClients, allowed: OutageClients, denying: Target, allowing: Target, back_s: float
) -> float:
    """Wait until each server has decided a request and /health is good again; return when that was."""
    with client(denying) as one, client(allowing) as other:
        until(
            lambda: (
                denied.any_since(back_s, ADMITTED, REFUSED)
                and allowed.any_since(back_s, REFUSED)
                and all(_health(http)[0] == 200 for http in (one, other))
            ),
            _RECOVERED_S,
        )
    return time.monotonic()


def _own_sessions(*targets: Target) -> int:
    """Return the servers' sessions in the database that are not idle in a pool: those lost, too."""
    pooled = 0
    for target in targets:
        with client(target) as http:
            pool = http.get("/health").json()["checks"]["database"]["pool"]
            pooled += pool["size"] - pool["in_use"]
    with postgres_session.session(targets[0]) as session:
        row = session.execute(_SESSIONS).fetchone()
    return (row[0] if row else 0) - pooled


def _leaked(denying: Target, allowing: Target, before: int) -> int:
    """Return how many sessions are left over from the outages, when those that end by themselves have ended."""
    fewest = before + 1000
    for _ in _polls(_RECOVERED_S / 2):
        fewest = min(fewest, _own_sessions(denying, allowing))
        if fewest <= before:
            break
    return max(0, fewest - before)


def _polls(lasting_s: float) -> Iterator[None]:
    deadline = time.monotonic() + lasting_s
    while True:
        yield
        if time.monotonic() > deadline:
            return
        time.sleep(_POLL_S)


def _measurements(watch: Watch, observed: _Observed, leaked: int) -> list[Measurement]:
    outages = len(observed.admitted)
    slowest = max(observed.recovery_s, key=lambda name: observed.recovery_s[name])
    beyond = {name: number - _LIMIT for name, number in observed.admitted.items() if number > _LIMIT}
    return [
        watch.counted("outage.answers", observed.answers, "answers before, during and after each outage"),
        watch.counted("outage.health", observed.health, "GET /health of both servers during the outages"),
        watch.measurement(
            "outage.recovery",
            round(observed.recovery_s[slowest], 3),
            "s",
            outages,
            "until every request was decided and /health good",
            (f"slowest after: {slowest}",),
        ),
        watch.measurement(
            "outage.beyond_limit",
            sum(beyond.values()),
            "count",
            outages,
            "admissions before and after each outage, against one limit",
            [f"{name}: {_LIMIT + more} requests passed a limit of {_LIMIT}" for name, more in beyond.items()],
        ),
        watch.measurement(
            "outage.sessions_leaked",
            leaked,
            "count",
            outages,
            "sessions of the servers after all outages, above before",
        ),
    ]
