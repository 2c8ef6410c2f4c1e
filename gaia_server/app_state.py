"""What one server process holds, and the questions its routes and background work ask of it."""

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
from gaia_server.auth import Access
from gaia_server.connection import TIMEOUT_S, Unavailable
from gaia_server.limiting import principal as limiting_principal
from gaia_server.limiting.decide import Checks, Question
from gaia_server.limiting.decision import Decision
from gaia_server.limiting.group_commit import Batcher, Overloaded
from gaia_server.limiting.principal import Principal
from gaia_server.metrics import Metrics, resident_bytes
from gaia_server.push.alerts import Watch
from gaia_server.push.hub import Hub
from gaia_server.push.violations import Pending
from gaia_server.settings import Settings
from gaia_server.storage.store import Store

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Seen:
    """What the background work saw last."""

    violations_per_minute: int = 0
    requests_per_second: float = 0.0
    rules: int = 0
    database: bool = False


@dataclass
class Server:
    """One process: its settings, its database, its clients."""

    settings: Settings
    digest: str | None  # sha256 of the executable it was started from; None if it was not started from one
    store: Store = field(init=False)
    checks: Checks = field(init=False)
    batcher: Batcher[Question, Decision] = field(init=False)
    access: Access = field(init=False)
    metrics: Metrics = field(init=False)
    hub: Hub = field(default_factory=Hub)
    watch: Watch = field(default_factory=Watch)
    pending: Pending = field(default_factory=Pending)
    counts: Counter[tuple[str, str, bool]] = field(default_factory=Counter)  # decisions not yet written down
    seen: Seen = field(default_factory=Seen)
    named_keys: frozenset[str] | None = None  # API keys that enabled rules name; None: not read yet
    requests: int = 0
    started: float = field(default_factory=time.monotonic)
    instance: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    _ping: asyncio.Task[bool] | None = None
    _reading: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.store = Store(self.settings.database_url)
        self.checks = Checks(self.settings.database_url, learning=self.settings.reputation_enabled)
        self.access = Access(self.settings.admin_token)
        self.metrics = Metrics(self.gauges, self.digest)
        self.batcher = Batcher(self.checks.decide, self.metrics.batch_size.observe)

    # Rules

    async def read_rules(self) -> None:
        """Take over what the database says about rules. Raises Unavailable."""
        rules = await self.store.rules()
        self.named_keys = frozenset(
            rule.scope_value for rule in rules if rule.enabled and rule.scope == "api_key" and rule.scope_value
        )
        self.seen.rules = sum(rule.enabled for rule in rules)
        self.metrics.keep_rules({rule.id for rule in rules})

    async def _first_rules(self) -> None:
        """Read the rules before the first decision; many who ask at once share one reading. Raises Unavailable.

        Without them a key that a rule names would be taken for anybody's address.
        """
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self.read_rules())
        await asyncio.shield(self._reading)  # somebody else waits for it, too

    # Limiting

    def principal(self, connection: HTTPConnection) -> Principal:
        """Whose request this is."""
        claims = limiting_principal.claims(connection.scope["headers"])
        named = "x-user-id" in claims or "x-session-id" in claims  # only then it matters who says so
        return limiting_principal.principal(
            claims,
            connection.client.host if connection.client else None,
            named_keys=self.named_keys or (),
            trusted_proxies=self.settings.trusted_proxies,
            is_admin=named and self.access.is_admin(connection, time.time()),
        )

    async def decide(self, connection: HTTPConnection, resource_type: str) -> Decision:
        """Decide one request, count it and remember what was refused.

        While the database is away a request passes unlimited if the settings say so. Raises Unavailable.
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
        """Whether the database answers within TIMEOUT_S. Many who ask at once share one question."""
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._ask())
        ping = self._ping  # somebody may ask anew while we wait
        done, _ = await asyncio.wait({ping}, timeout=TIMEOUT_S)
        self.seen.database = bool(done) and ping.result()
        return self.seen.database

    async def _ask(self) -> bool:
        try:
            await self.store.ping()
        except Unavailable:
            return False
        return True

    def health(self, *, connected: bool) -> dict[str, Any]:
        """Return what /health says."""
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
            },
            "features": {**self.settings.features, "anthropic_api_key_set": self.settings.anthropic_api_key_set},
        }

    def _limiting(self, *, connected: bool) -> dict[str, str]:
        if not self.settings.rate_limit_enabled:
            return {"status": "disabled"}
        away = "allowing" if self.settings.on_db_down == "allow" else "denying"
        return {"status": "enabled" if connected else away, "on_db_down": self.settings.on_db_down}

    @property
    def uptime_s(self) -> float:
        """Seconds since this process was ready to begin."""
        return time.monotonic() - self.started

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Return the gauges of /metrics."""
        use = self.store.pool_use
        return {
            "gaia_websocket_clients": ("Connected WebSocket clients.", len(self.hub.clients)),
            "gaia_database_up": ("Whether the database answered last.", float(self.seen.database)),
            "gaia_database_pool_connections": ("Connections of the pool.", use.size),
            "gaia_database_pool_in_use": ("Connections in use.", use.in_use),
            "gaia_database_pool_waiting": ("Requests waiting for a connection.", use.waiting),
            "gaia_database_pool_max": ("Most connections the pool may have.", use.maximum),
            "gaia_rate_limit_rules": ("Enabled rules.", self.seen.rules),
            "gaia_violations_last_minute": ("Requests refused in the last minute.", self.seen.violations_per_minute),
            "gaia_alerts_firing": ("Alerts that fire now.", float(self.watch.firing is not None)),
            "gaia_uptime_seconds": ("Since this process was ready to begin.", self.uptime_s),
        }

    def stats(self) -> dict[str, Any]:
        """Return what a `stats` message says."""
        use = self.store.pool_use
        return {
            "requests_per_second": round(self.seen.requests_per_second, 2),
            "requests": self.requests,
            "violations_last_minute": self.seen.violations_per_minute,
            "rules": self.seen.rules,
            "websocket_clients": len(self.hub.clients),
            "database": {
                "status": "connected" if self.seen.database else "disconnected",
                "pool": {"size": use.size, "in_use": use.in_use, "waiting": use.waiting, "max": use.maximum},
            },
            "memory_bytes": resident_bytes(),
            "uptime_s": round(self.uptime_s, 3),
            "rate_limiting": "enabled" if self.settings.rate_limit_enabled else "disabled",
            "version": __version__,
            "instance": self.instance,
            "alerts": {
                "firing": [self.watch.firing.to_json()] if self.watch.firing else [],
                "watched": [self.watch.rule.to_json(self.seen.violations_per_minute)],
            },
        }


def executable_digest(program: str) -> str | None:
    """Return the sha256 of the single-file executable that `program` is; None if it is none."""
    path = Path(program)
    if not path.is_file() or not zipfile.is_zipfile(path):
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
