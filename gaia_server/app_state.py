"""The state of one server process, shared by its routes and its background tasks."""

import asyncio
import hashlib
import logging
import os
import socket
import time
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import HTTPConnection

from gaia_server import __version__
from gaia_server.auth import Access, Credential
from gaia_server.connection import TIMEOUT_S, Unavailable
from gaia_server.limiting import principals
from gaia_server.limiting.decide import LimiterConnection, Question
from gaia_server.limiting.decision import Decision
from gaia_server.limiting.group_commit import Batcher, Overloaded
from gaia_server.limiting.management import Budget
from gaia_server.limiting.principals import Principal
from gaia_server.metrics import Metrics, resident_bytes
from gaia_server.problem import Problem
from gaia_server.push.alerts import AlertWatch
from gaia_server.push.hub import Hub
from gaia_server.push.replay import Replay
from gaia_server.push.violations import Pending
from gaia_server.settings import Settings
from gaia_server.storage.store import Store

_CREDENTIAL = "gaia_server.credential"
"""The key of the Credential in a request's scope."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Observed:
    """The latest observations of the background tasks."""

    violations_per_minute: int = 0
    requests_per_second: float = 0.0
    rules: int = 0
    database: bool = False
    notification_failures: dict[int, str] = field(default_factory=dict)  # of the latest to a number of ALERT_URLS


@dataclass
class Server:
    """One server process: its settings, its database, its clients."""

    settings: Settings
    digest: str | None  # sha256 of the executable file; None if the process runs from source
    store: Store = field(init=False)
    limiter: LimiterConnection = field(init=False)
    batcher: Batcher[Question, Decision] = field(init=False)
    access: Access = field(init=False)
    metrics: Metrics = field(init=False)
    hub: Hub = field(default_factory=Hub)
    replay: Replay = field(default_factory=Replay)
    read: asyncio.Condition = field(default_factory=asyncio.Condition)  # notified when `replay` has all stored messages
    turns: asyncio.Lock = field(default_factory=asyncio.Lock)  # of the clients that are sent what they missed
    watch: AlertWatch = field(default_factory=AlertWatch)
    management: Budget = field(default_factory=Budget)
    pending: Pending = field(default_factory=Pending)
    counts: Counter[tuple[str, str, bool]] = field(default_factory=Counter)  # decisions not yet stored
    observed: Observed = field(default_factory=Observed)
    named_keys: frozenset[str] | None = None  # API keys named by enabled rules; None: rules not read yet
    requests: int = 0
    errors: int = 0  # of these, answered with a status of 500 or above
    started: float = field(default_factory=time.monotonic)
    instance: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    _ping: asyncio.Task[bool] | None = None
    _rules_read: asyncio.Task[None] | None = None
    _metrics_text: asyncio.Task[bytes] | None = None

    def __post_init__(self) -> None:
        self.store = Store(self.settings.database_url)
        self.limiter = LimiterConnection(self.settings.database_url, learning=self.settings.reputation_enabled)
        self.access = Access(self.settings.admin_token, self.settings.trusted_proxies)
        self.metrics = Metrics(self.gauges, self.digest)
        self.batcher = Batcher(self.limiter.decide, self.metrics.batch_size.observe)

    # Rules

    async def read_rules(self) -> None:
        """Read the rules from the database. Raises Unavailable."""
        rules = await self.store.rules()
        self.named_keys = frozenset(
            rule.scope_value for rule in rules if rule.enabled and rule.scope == "api_key" and rule.scope_value
        )
        self.observed.rules = sum(rule.enabled for rule in rules)
        self.metrics.keep_rules({rule.id for rule in rules})

    async def _first_rules(self) -> None:
        """Read the rules before the first decision; concurrent requests share one read. Raises Unavailable.

        Without the rules an API key that a rule names would be counted by its client's address.
        """
        if self._rules_read is None or self._rules_read.done():
            self._rules_read = asyncio.create_task(self.read_rules())
        await asyncio.shield(self._rules_read)  # other requests wait for it, too

    # Access

    def address(self, connection: HTTPConnection) -> str:
        """Return the client's address, in the form that limits count it by, whatever else the request claims to be."""
        found = principals.claims(connection.scope["headers"])
        return principals.principal(
            {name: value for name, value in found.items() if name not in ("x-user-id", "x-session-id")},
            connection.client.host if connection.client else None,
            named_keys=(),
            trusted_proxies=self.settings.trusted_proxies,
            is_admin=lambda: False,
        ).value

    def credential(self, connection: HTTPConnection) -> Credential:
        """Return what the request carries of the admin token; compared, and counted if it is wrong, only once."""
        found: Credential | None = connection.scope.get(_CREDENTIAL)
        if found is None:
            found = self.access.credential(connection, self.address(connection), time.time())
            connection.scope[_CREDENTIAL] = found
        return found

    def refusal(self, connection: HTTPConnection) -> Problem | None:
        """Return why an admin route refuses the request, None if it does not."""
        credential = self.credential(connection)
        return self.access.refusal(connection, credential, self.retry_s(connection))

    def retry_s(self, connection: HTTPConnection) -> int:
        """Return in how many seconds the next token from the client's address is compared, at least 1."""
        return max(self.access.guesses.retry_s(self.address(connection), time.time()), 1)

    # Limiting

    def principal(self, connection: HTTPConnection) -> Principal:
        """Return the principal of a request."""
        claims = principals.claims(connection.scope["headers"])
        return principals.principal(
            claims,
            connection.client.host if connection.client else None,
            named_keys=self.named_keys or (),
            trusted_proxies=self.settings.trusted_proxies,
            is_admin=lambda: self.credential(connection) is Credential.RIGHT,
        )

    async def decide(self, connection: HTTPConnection, resource_type: str) -> Decision:
        """Decide one request, count it and record refusals.

        While the database is unavailable, a request passes unlimited if the settings allow it. Raises Unavailable.
        """
        principal, started = self.principal(connection), time.perf_counter()
        try:
            if self.named_keys is None:
                await self._first_rules()
                principal = self.principal(connection)
            decision = await self.batcher.ask(Question(principal, resource_type))
        except (Unavailable, Overloaded) as error:
            if self.settings.on_db_down == "deny" or isinstance(error, Overloaded):
                self.metrics.decision(principal.scope, "undecided").inc()
                raise Unavailable(str(error)) from error
            self.metrics.decision(principal.scope, "unlimited").inc()
            return Decision([])
        self.metrics.decision_seconds.observe(time.perf_counter() - started)
        self._count(principal, resource_type, decision)
        return decision

    def _count(self, principal: Principal, resource_type: str, decision: Decision) -> None:
        self.counts[principal.scope, resource_type, decision.admitted] += 1
        self.metrics.decision(principal.scope, "admitted" if decision.admitted else "denied").inc()
        for standing in decision.standings:
            self.metrics.decided(standing.rule_id, admitted=standing.admitted)
            if not standing.admitted:
                self.metrics.violations.labels(standing.scope, standing.limit_type).inc()
                self.pending.add(standing, resource_type)

    # Health

    async def database_answers(self) -> bool:
        """Whether the database answers within TIMEOUT_S. Concurrent callers share one ping."""
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._ping_database())
        ping = self._ping  # another caller may start a new ping during the wait
        done, _ = await asyncio.wait({ping}, timeout=TIMEOUT_S)
        self.observed.database = bool(done) and ping.result()
        return self.observed.database

    async def _ping_database(self) -> bool:
        try:
            await self.store.ping()
        except Unavailable:
            return False
        return True

    async def metrics_text(self) -> bytes:
        """Return all metrics as text. Concurrent callers share one text: it is costly, and nobody limits it."""
        if self._metrics_text is None or self._metrics_text.done():
            self._metrics_text = asyncio.create_task(self._make_metrics_text())
        return await asyncio.shield(self._metrics_text)

    async def _make_metrics_text(self) -> bytes:
        return self.metrics.text()

    def health(self, *, connected: bool) -> dict[str, Any]:
        """Return the body of /health."""
        use = self.store.pool_use
        return {
            "status": "healthy" if connected else "unhealthy",
            "version": __version__,
            "digest": self.digest,
            "uptime_s": round(self.uptime_s, 3),
            "checks": {
                "database": {
                    "status": "connected" if connected else "disconnected",
                    "pool": {"size": use.size, "in_use": use.in_use, "waiting": use.waiting, "max": use.maximum},
                },
                "rate_limiting": self._limiting(connected=connected),
                "websocket": {"status": "serving", "clients": len(self.hub.clients)},
                **self._notifications(),
            },
            "features": {**self.settings.features, "anthropic_api_key_set": self.settings.anthropic_api_key_set},
        }

    def _limiting(self, *, connected: bool) -> dict[str, str]:
        if not self.settings.rate_limit_enabled:
            return {"status": "disabled"}
        without_database = "allowing" if self.settings.on_db_down == "allow" else "denying"
        return {"status": "enabled" if connected else without_database, "on_db_down": self.settings.on_db_down}

    def _notifications(self) -> dict[str, Any]:
        if not self.settings.alert_urls:
            return {}
        failures = sorted(self.observed.notification_failures.items())
        failure = ", ".join(f"URL {number} of ALERT_URLS: {text}" for number, text in failures) or None
        return {"notifications": {"status": "failing" if failure else "enabled", "failure": failure}}

    @property
    def uptime_s(self) -> float:
        """Seconds since this process was ready to serve."""
        return time.monotonic() - self.started

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Return the gauges of /metrics: name -> (help, value)."""
        use = self.store.pool_use
        return {
            "gaia_websocket_clients": ("Connected WebSocket clients.", len(self.hub.clients)),
            "gaia_database_up": ("Whether the last database ping succeeded.", float(self.observed.database)),
            "gaia_database_pool_connections": ("Connections in the pool.", use.size),
            "gaia_database_pool_in_use": ("Connections in use.", use.in_use),
            "gaia_database_pool_waiting": ("Requests waiting for a connection.", use.waiting),
            "gaia_database_pool_max": ("Maximum size of the pool.", use.maximum),
            "gaia_rate_limit_rules": ("Enabled rules.", self.observed.rules),
            "gaia_violations_last_minute": (
                "Requests refused in the last minute.",
                self.observed.violations_per_minute,
            ),
            "gaia_alerts_firing": ("Alerts that are firing.", len(self.watch.open)),
            "gaia_uptime_seconds": ("Seconds since this process was ready to serve.", self.uptime_s),
        }

    def stats(self) -> dict[str, Any]:
        """Return the data of a `stats` message."""
        use = self.store.pool_use
        return {
            "requests_per_second": round(self.observed.requests_per_second, 2),
            "requests": self.requests,
            "violations_last_minute": self.observed.violations_per_minute,
            "rules": self.observed.rules,
            "websocket_clients": len(self.hub.clients),
            "database": {
                "status": "connected" if self.observed.database else "disconnected",
                "pool": {"size": use.size, "in_use": use.in_use, "waiting": use.waiting, "max": use.maximum},
            },
            "memory_bytes": resident_bytes(),
            "uptime_s": round(self.uptime_s, 3),
            "rate_limiting": "enabled" if self.settings.rate_limit_enabled else "disabled",
            "version": __version__,
            "instance": self.instance,
            "alerts": self.watch.to_json(),
        }


def server_of(connection: HTTPConnection) -> Server:
    """Return the server that a request or a WebSocket is for."""
    server: Server = connection.app.state.server
    return server


def executable_digest(program: str) -> str | None:
    """Return the sha256 of `program` if it is a single-file executable, else None."""
    path = Path(program)
    if not path.is_file() or not zipfile.is_zipfile(path):
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
