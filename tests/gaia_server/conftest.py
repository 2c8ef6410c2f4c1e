"""Databases with the server's schema, and server processes on them."""

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

from tests.support import plain_http

ROOT = Path(__file__).resolve().parents[2]
MIGRATIONS = ROOT / "migrations"
TOKEN = "canary-admin-token"


def migration_files() -> list[str]:
    """Return the names of the migrations in their order."""
    lines = (MIGRATIONS / "order.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def unique(word: str) -> str:
    """Return a name that no other test uses."""
    return f"{word}-{uuid.uuid4().hex[:12]}"


def poll(probe: Callable[[], Any], *, within_s: float = 10.0, every_s: float = 0.02) -> Any:
    """Call `probe` until it returns something true, and return that; fail after a time."""
    deadline = time.monotonic() + within_s
    while True:
        if found := probe():
            return found
        assert time.monotonic() < deadline, f"{probe} returned nothing within {within_s} s"
        time.sleep(every_s)


@dataclass
class Running:
    """A server process."""

    process: subprocess.Popen[bytes]
    base_url: str
    log: Path
    dsn: str
    key: str | None = None  # an API key without an effective limit
    token: str = TOKEN

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.base_url.rpartition(":")[2])

    @property
    def headers(self) -> dict[str, str]:
        """The administrator's headers; they make a request unlimited if there is such a key."""
        return {**self.bearer, **({"X-API-Key": self.key} if self.key else {})}

    @property
    def bearer(self) -> dict[str, str]:
        """The administrator's header."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def get(self, url: str, **arguments: Any) -> httpx.Response:
        """Send a request as the administrator."""
        return self.request("GET", url, **arguments)

    def request(self, method: str, url: str, *, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        """Send a request as the administrator."""
        return plain_http.request(method, url, headers={**self.bearer, **(headers or {})}, **more)

    @property
    def home(self) -> str:
        """The base URL of the admin API."""
        return f"{self.base_url}/api/admin/quotas"

    @property
    def websocket_url(self) -> str:
        """The URL of the WebSocket."""
        return f"ws{self.base_url.removeprefix('http')}/ws/admin/quotas"

    def lines(self) -> list[dict[str, Any]]:
        """Return the log so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def rule(self, **fields: Any) -> dict[str, Any]:
        """Create a rule, by default of scope `api_key`."""
        body = {"rule_name": unique("rule"), "scope": "api_key", "limit_type": "requests_per_hour"}
        url = f"{self.home}/config?confirm=true"
        answer = plain_http.post(url, json={**body, **fields}, headers=self.headers)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def unlimited(self) -> str:
        """Create an API key whose limit no test can reach."""
        return str(self.rule(scope_value=unique("key"), limit_value=1_000_000)["scope_value"])


Start = Callable[..., Running]


@contextmanager
def fresh_database(postgres: str, template: str | None = None) -> Iterator[str]:
    """Create a database, as a copy of `template` if given, and drop it at the end."""
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
    """A separate database for each test, with all migrations applied."""
    with fresh_database(postgres, template) as dsn:
        yield dsn


def without_rules(dsn: str) -> None:
    """Disable the default rules of a database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE rate_limit_configs SET enabled = false")


@contextmanager
def servers(dsn: str, folder: Path) -> Iterator[Start]:
    """Start server processes; all are stopped at the end."""
    running: list[Running] = []

    def start(port: int = 0, **variables: str) -> Running:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            port = probe.getsockname()[1]
        log = folder / f"server-{len(running)}.log"
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": dsn,
            "PORT": str(port),
            "ADMIN_TOKEN": TOKEN,
            **variables,
        }
        with log.open("wb") as file:
            process = subprocess.Popen(
                (sys.executable, "-m", "gaia_server"), cwd=ROOT, env=environment, stderr=file, stdout=file
            )
        server = Running(process, f"http://127.0.0.1:{port}", log, dsn, token=environment["ADMIN_TOKEN"])
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
        return plain_http.get(f"{server.base_url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def start(schema: str, tmp_path: Path) -> Iterator[Start]:
    """Start server processes on the test's own database."""
    with servers(schema, tmp_path) as start:
        yield start


@pytest.fixture
def own(start: Start) -> Running:
    """A separate server process for each test, with default settings."""
    return start()


@pytest.fixture(scope="session")
def server(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server process that tests share: each test uses unique names."""
    with fresh_database(postgres, template) as dsn, servers(dsn, tmp_path_factory.mktemp("shared")) as start:
        shared = start()
        shared.key = shared.unlimited()
        yield shared


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    """A client of the shared server whose requests are unlimited."""
    with httpx.Client(base_url=server.home, headers=server.headers) as client:
        yield client
