"""One outage of the database that two servers share, one for each value of RATE_LIMIT_ON_DB_DOWN.

What is recorded here holds on a slow machine as well: facts about requests that were sent and answered while the
database was certainly away, waits that are much longer than what is promised, and a recovery that is compared with
what the database itself needs at that time.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Target
from gaia_checks.probes.rehearsal.outage.outage_clients import (
    ADMITTED,
    PATH,
    REFUSED,
    UNDECIDED,
    Away,
    OutageClients,
    OutageReply,
    send,
)
from gaia_checks.target import gauges, postgres_session
from gaia_checks.target.client import client, key
from gaia_checks.target.responses import CONFIG, METRICS
from gaia_checks.target.samples import Score

LONG = "stopped"
"""The outage that lasts, and shows how often a server tries to connect again."""

SHORT = "restarted"
"""The outage that is over at once: nothing is expected while it lasts."""

PATIENCE_S = 15.0
"""How long anything but recovery is awaited. The promises are about 2 s."""

_SOME = 20  # requests answered by each server before the outage
_IN_TURN = 2  # requests without the database: the first may lose a connection, the next one connects
_LONG_S = 8.0  # the longest outage: retries that come ever more rarely are then 5 s and more apart
_RECOVERED_S = 10.0  # how long recovery is awaited; 5 s are promised
_TURN_S = 0.15  # what one session and one commit may take before the machine is slow
_HEALTH_S = 5.0
_HEALTH_TRIES = 3  # at least: one may meet a stall of this machine
_POLL_S = 0.05
_COMMIT = "SELECT pg_logical_emit_message(true, 'gaia_checks', '')"  # the smallest that waits for the disk

READY = "/readyz"
UP = "gaia_database_up"

Health = tuple[int, Any, Any]
"""The status of /health, and what it reports of the database and of rate limiting."""

_GOOD: Health = (200, "connected", "enabled")


@dataclass(frozen=True)
class OutageServers:
    """The servers, and the keys of their clients."""

    denying: Target
    allowing: Target
    default: Target  # without the setting, which is then "deny"
    refused_key: str  # sent to the server that allows: it passes only without the database
    over: threading.Event

    @property
    def all(self) -> tuple[Target, ...]:
        """All servers."""
        return self.denying, self.allowing, self.default


@dataclass
class OutagesObserved:
    """The observations of all outages."""

    answers: Score = field(default_factory=Score)
    health: Score = field(default_factory=Score)
    recovery_s: dict[str, float] = field(default_factory=dict)
    admitted: dict[str, int] = field(default_factory=dict)  # by the server that denies
    leaked: int | None = None  # sessions after the outage that ends none

    @property
    def wrong(self) -> bool:
        """Whether an answer was wrong: then a further outage shows nothing new."""
        return bool(self.answers.wrong or self.health.wrong)


def observe(
    name: str, outage: AbstractContextManager[None], servers: OutageServers, key: str, observed: OutagesObserved
) -> None:
    """Let the database fail while clients send, until the limit of `key` is used up after it."""
    away, over = Away(), servers.over
    with (
        OutageClients(servers.denying, key, allows=False) as denied,
        OutageClients(servers.allowing, servers.refused_key, allows=True) as allowed,
    ):
        until(lambda: min(len(denied.replies), len(allowed.replies)) >= _SOME, PATIENCE_S, over)
        with outage:
            away.starts_s = time.monotonic()
            if name != SHORT:
                _observe_while_away(name, servers, (denied, allowed), away.starts_s, observed)
            if name == LONG:
                until(lambda: time.monotonic() > away.starts_s + _LONG_S, _LONG_S, over)
            away.ends_s = time.monotonic()
        observed.recovery_s[name] = _observe_recovery(servers, denied, allowed)
        _observe_health(f"after {name}", servers, (_GOOD,) * len(servers.all), observed)
    for clients in (denied, allowed):
        for reply in clients.replies:
            wrong = clients.wrong(reply, away)
            observed.answers.add(f"{name}: {wrong}" if wrong else None)
    observed.admitted[name] = sum(reply.status == ADMITTED for reply in denied.replies)


def _observe_while_away(
    name: str, servers: OutageServers, clients: tuple[OutageClients, ...], since_s: float, observed: OutagesObserved
) -> None:
    """Wait until /health of the servers reports the outage, and both have given up an attempt to connect again.

    The clients come before /health: once it was requested, a server knows of the outage, and may treat them otherwise.
    """
    denying, allowing = (503, "disconnected", "denying"), (503, "disconnected", "allowing")
    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(lambda: list(_wrong_while_away(servers)))
        until(lambda: all(each.in_turn_since(since_s) for each in clients), PATIENCE_S, servers.over)
        _observe_health(name, servers, (denying, allowing, denying), observed)
    for wrong in (*answers.result(), _wrong_gauge(servers.default, servers.over)):
        observed.answers.add(f"{name}: {wrong}" if wrong else None)
    until(lambda: all(each.in_turn_since(since_s) >= _IN_TURN for each in clients), PATIENCE_S, servers.over)
    if not all(each.in_turn_since(since_s) for each in clients):
        observed.answers.add(f"{name}: no answer within {PATIENCE_S:g} s without the database")


def _wrong_while_away(servers: OutageServers) -> Iterator[str | None]:
    """Yield what is wrong with the answers to others than the clients: without the setting, of a list, of /readyz."""
    requests = (servers.default, PATH), (servers.allowing, f"{CONFIG}?limit=1"), (servers.default, READY)
    with ThreadPoolExecutor(len(requests)) as pool:  # each answer may take 2 s
        default, listed, ready = pool.map(lambda each: _sent(servers.refused_key, *each), requests)
    wrong = default.wrong or (f"answered {default.status}" if default.status != UNDECIDED else None)
    yield wrong and f"without RATE_LIMIT_ON_DB_DOWN, which is deny then, a request was {wrong}, should be {UNDECIDED}"
    wrong = listed.wrong if listed.status != 200 else None  # some may be able to list without the database
    yield wrong and f"GET {CONFIG}: {wrong}"
    yield f"GET {READY} answered 200, and no request can be decided" if ready.status == 200 else None


def _wrong_gauge(target: Target, over: threading.Event) -> str | None:
    """Return what /metrics, from which people are alerted, still says when /health reports the outage already."""
    with client(target) as http:
        if until(lambda: not _says_up(http), PATIENCE_S, over):
            return None
    return f"GET {METRICS} reports {UP} 1 without the database, should be 0"


def _says_up(http: httpx.Client) -> bool:
    """Whether the gauge is not 0; a server that does not report it says nothing (prod.monitoring judges its name)."""
    try:
        return gauges.read(http, UP) not in (0, None)
    except (httpx.HTTPError, ValueError):
        return True


def _sent(api_key: str, target: Target, path: str) -> OutageReply:
    with client(target) as http:
        return send(http, api_key, path)


def _observe_recovery(servers: OutageServers, denied: OutageClients, allowed: OutageClients) -> float:
    """Return how long it took until each server decided, and one listed; then wait until the limit is used up."""
    back_s = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        listed = pool.submit(until, lambda: _lists(servers.default), PATIENCE_S, servers.over)
        taken_s = _recovery_s(
            lambda: (
                denied.answered_since(back_s, ADMITTED, REFUSED)
                and allowed.answered_since(back_s, REFUSED)
                and listed.done()
            ),
            servers,
        )
    until(lambda: denied.answered_since(back_s, REFUSED), PATIENCE_S, servers.over)
    return round(taken_s, 3)


def _lists(target: Target) -> bool:
    return _sent(key(target), target, f"{CONFIG}?limit=1").status == 200


def _recovery_s(recovered: Callable[[], bool], servers: OutageServers) -> float:
    """Return the seconds until it has `recovered`, without those in which this machine or its disk was slow.

    Each turn opens a session and commits, as a server has to. What it takes beyond _TURN_S is not the server's time.
    """
    taken_s = 0.0
    while not recovered() and taken_s < _RECOVERED_S:
        started_s = time.monotonic()
        _commit(servers.denying)
        pause(servers.over)
        taken_s += min(time.monotonic() - started_s, _TURN_S)
    return taken_s


def _commit(target: Target) -> None:
    try:
        with postgres_session.session(target) as session:
            session.execute(_COMMIT)
    except postgres_session.NoSession as error:
        raise Inconclusive(f"the database does not come back by itself: {error}") from error


def _observe_health(name: str, servers: OutageServers, expected: tuple[Health, ...], observed: OutagesObserved) -> None:
    """Wait until /health of each server reports what is expected."""
    with ThreadPoolExecutor(len(expected)) as pool:  # each answer may take 2 s
        reported = pool.map(_reported, servers.all, expected, itertools.repeat(servers.over))
        for found, should in zip(reported, expected, strict=True):
            observed.health.add(f"{name}: GET /health reports {found}, should be {should}" if found != should else None)


def _reported(target: Target, expected: Health, over: threading.Event) -> Health:
    """Return what /health reports once it is as expected, or after some time."""
    deadline, tries = time.monotonic() + PATIENCE_S, 1
    with client(target) as http:
        while (found := _health(http)) != expected and (time.monotonic() < deadline or tries < _HEALTH_TRIES):
            tries += 1
            pause(over)
    return found


def _health(http: httpx.Client) -> Health:
    """Return what /health reports; 0 without an answer."""
    with contextlib.suppress(httpx.HTTPError, ValueError, LookupError, TypeError):
        answer = http.get("/health", headers={"Connection": "close"}, timeout=_HEALTH_S)
        checks = answer.json()["checks"]
        return answer.status_code, checks["database"]["status"], checks["rate_limiting"]["status"]
    return 0, None, None


def until(done: Callable[[], bool], within_s: float, over: threading.Event) -> bool:
    """Wait until `done`; return whether it was in time. Raises Inconclusive when the gate is over."""
    deadline = time.monotonic() + within_s
    while not done():
        if time.monotonic() > deadline:
            return False
        pause(over)
    return True


def pause(over: threading.Event) -> None:
    """Wait until something may have changed. Raises Inconclusive when the gate is over."""
    if over.wait(_POLL_S):
        raise Inconclusive("the gate was over before the outages were")
