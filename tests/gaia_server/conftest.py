"""A database with the server's schema, and server processes on it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).resolve().parents[2]
MIGRATIONS = ROOT / "migrations"
TOKEN = "canary-admin-token"


def migration_files() -> list[str]:
    """The names of the migrations in their order."""
    lines = (MIGRATIONS / "order.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def unique(word: str) -> str:
    """A name that no other test has."""
    return f"{word}-{uuid.uuid4().hex[:12]}"


def poll(look: Callable[[], Any], *, within_s: float = 10.0, every_s: float = 0.02) -> Any:
    """Look until there is something, or fail."""
    deadline = time.monotonic() + within_s
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"nothing came of {look} within {within_s} s"
        time.sleep(every_s)


@dataclass
class Running:
    """A server process."""

    process: subprocess.Popen[bytes]
    base_url: str
    log: Path
    dsn: str
    key: str | None = None  # an API key that is limited by nothing

    @property
    def port(self) -> int:
        """The port of this machine that it listens on."""
        return int(self.base_url.rpartition(":")[2])

    @property
    def headers(self) -> dict[str, str]:
        """What makes a request limited by nothing, if there is such a key."""
        return {"X-API-Key": self.key} if self.key else {}

    @property
    def home(self) -> str:
        """Where the API begins."""
        return f"{self.base_url}/api/admin/quotas"

    @property
    def websocket_url(self) -> str:
        """Where the WebSocket is."""
        return f"ws{self.base_url.removeprefix('http')}/ws/admin/quotas"

    def lines(self) -> list[dict[str, Any]]:
        """The log so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def rule(self, **fields: Any) -> dict[str, Any]:
        """A new rule, by default for an API key of its own."""
        body = {"rule_name": unique("rule"), "scope": "api_key", "limit_type": "requests_per_hour"}
        answer = httpx.post(f"{self.home}/config", json={**body, **fields}, headers=self.headers)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def unlimited(self) -> str:
        """An API key whose requests are limited by nothing that a test could meet."""
        return str(self.rule(scope_value=unique("key"), limit_value=1_000_000)["scope_value"])


Start = Callable[..., Running]


@contextmanager
def fresh_database(postgres: str, template: str | None = None) -> Iterator[str]:
    """A database of its own, a copy of another if one is named."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    copied = f"TEMPLATE {conninfo_to_dict(template)['dbname']} STRATEGY file_copy" if template else ""
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} {copied}")
    yield postgres.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def template(postgres: str) -> Iterator[str]:
    """A database with all migrations applied, for copying."""
    with fresh_database(postgres) as dsn:
        with psycopg.connect(dsn) as connection:
            for name in migration_files():
                connection.execute((MIGRATIONS / name).read_bytes())
        yield dsn


@pytest.fixture
def schema(postgres: str, template: str) -> Iterator[str]:
    """A database of the test's own with all migrations applied."""
    with fresh_database(postgres, template) as dsn:
        yield dsn


def without_rules(dsn: str) -> None:
    """Switch the default rules of a database off."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE rate_limit_configs SET enabled = false")


@contextmanager
def servers(dsn: str, folder: Path) -> Iterator[Start]:
    """Start server processes; all are ended at the end."""
    running: list[Running] = []

    def start(**variables: str) -> Running:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        log = folder / f"server-{len(running)}.log"
        environment = {"PATH": os.environ["PATH"], "DATABASE_URL": dsn, "PORT": port, **variables}
        with log.open("wb") as file:
            process = subprocess.Popen(
                (sys.executable, "-m", "gaia_server"), cwd=ROOT, env=environment, stderr=file, stdout=file
            )
        server = Running(process, f"http://127.0.0.1:{port}", log, dsn)
        running.append(server)
        poll(lambda: _ready(server))
        return server

    try:
        yield start
    finally:
        for server in running:
            server.process.send_signal(signal.SIGTERM)
        for server in running:
            server.process.wait(10)


def _ready(server: Running) -> bool:
    assert server.process.poll() is None, server.log.read_text()
    try:
        return httpx.get(f"{server.base_url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def start(schema: str, tmp_path: Path) -> Iterator[Start]:
    """Start server processes on a database of the test's own."""
    with servers(schema, tmp_path) as start:
        yield start


@pytest.fixture
def own(start: Start) -> Running:
    """A server process of the test's own, with default settings."""
    return start()


@pytest.fixture(scope="session")
def server(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server process that tests share: what one makes bears names of its own."""
    with fresh_database(postgres, template) as dsn, servers(dsn, tmp_path_factory.mktemp("shared")) as start:
        shared = start()
        shared.key = shared.unlimited()
        yield shared


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    """A client of the shared server whose requests are limited by nothing."""
    with httpx.Client(base_url=server.home, headers=server.headers) as client:
        yield client
