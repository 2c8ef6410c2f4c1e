"""PostgreSQL stops and restarts under load: the server reports it, behaves as configured, and recovers by itself."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from benchmarks.limiter import contract
from benchmarks.limiter.accounts import Balance, balance
from benchmarks.limiter.racing import ADMITTED, REFUSED, UNDECIDED, Race, Seen, cycle
from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.postgres import database_connection
from gaia_checks.deploy.postgres.embedded import Cluster
from gaia_server.connection import TIMEOUT_S
from tests.gaia_server.conftest import MIGRATIONS, Running, poll, servers, without_rules
from tests.support import plain_http

RECOVERS_WITHIN_S = 10.0
"""5 s are specified; the rest is a margin for a busy machine."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A separate PostgreSQL, so that no other test is affected."""
    folder = Path(tempfile.mkdtemp(prefix="gaia-pg-"))
    folder.chmod(0o711)
    cluster = Cluster(folder / "pg", settings={"fsync": "off", "full_page_writes": "off"})
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Pair:
    """Two servers on that PostgreSQL; one rule counts all users and is never reached, another refuses `nobody-0`."""

    denying: Running
    allowing: Running
    rule_id: int


@pytest.fixture(scope="module")
def pair(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """One server for each value of RATE_LIMIT_ON_DB_DOWN."""
    dsn = cluster.dsn("outage")
    database_connection.ensure_exists(dsn)
    runner.up(dsn, MIGRATIONS)
    without_rules(dsn)
    with servers(dsn, tmp_path_factory.mktemp("outage")) as start:
        settings = {"TRUSTED_PROXIES": "127.0.0.1", "ADMIN_TOKEN": contract.TOKEN}
        denying, allowing = (start(**settings, RATE_LIMIT_ON_DB_DOWN=word) for word in ("deny", "allow"))
        rule = contract.create_rule(denying.port, limit_type="requests_per_hour", limit_value=10**6)
        contract.create_rule(denying.port, limit_type="requests_per_hour", limit_value=0, scope_value="nobody-0")
        yield Pair(denying, allowing, rule["id"])


@dataclass(frozen=True)
class Outage:
    """Observations of a restart, by clients and on /health."""

    denied: list[Seen]  # by the clients of the one server
    allowed: list[Seen]  # by `nobody-0` at the other
    health: dict[str, httpx.Response]  # by path, of the server that denies
    health_allowing: httpx.Response


@pytest.fixture(scope="module")
def outage(cluster: Cluster, pair: Pair) -> Outage:
    """Stop PostgreSQL under load, read the health routes, and start it again."""
    one, other = pair.denying, pair.allowing
    with (
        Race([one.port], cycle("restart", 5), clients=8) as denied,
        Race([other.port], cycle("nobody", 1), clients=2) as allowed,
    ):
        poll(lambda: denied.admitted() >= 100 and answered(allowed, REFUSED), within_s=30)
        cluster.stop()
        try:
            poll(lambda: answered(denied, UNDECIDED) and answered(allowed, ADMITTED), within_s=30)
            health = {
                path: plain_http.get(one.base_url + path, timeout=10) for path in ("/health", "/readyz", "/livez")
            }
            health_allowing = plain_http.get(f"{other.base_url}/health", timeout=10)
        finally:
            cluster.start()
        back = time.monotonic()
        poll(lambda: answered(denied, ADMITTED, back) and answered(allowed, REFUSED, back), within_s=RECOVERS_WITHIN_S)
    return Outage(denied.seen, allowed.seen, health, health_allowing)


def answered(race: Race, status: int, since_s: float = 0.0) -> bool:
    """Return whether one of the last requests, sent after `since_s`, was answered with this status."""
    return any(one.status == status and one.sent_s > since_s for one in race.seen[-50:])


def test_every_request_is_answered(outage: Outage) -> None:
    """Each request is admitted or answered with Retry-After; the server never drops a connection."""
    assert {one.status for one in outage.denied} == {ADMITTED, UNDECIDED}
    assert all((one.retry_after or "").isdecimal() for one in outage.denied if one.status == UNDECIDED)


def test_requests_pass_if_so_configured(outage: Outage) -> None:
    """A user whom a rule refuses is refused before and after the outage, and passes during it."""
    assert {one.status for one in outage.allowed} == {REFUSED, ADMITTED}


def test_health_reports_the_outage(outage: Outage) -> None:
    """/health and /readyz report the outage and the configured behaviour; /livez still answers."""
    assert {path: answer.status_code for path, answer in outage.health.items()} == {
        "/health": 503,
        "/readyz": 503,
        "/livez": 200,
    }
    for answer, status in ((outage.health["/health"], "denying"), (outage.health_allowing, "allowing")):
        checks = answer.json()["checks"]
        assert (checks["database"]["status"], checks["rate_limiting"]["status"]) == ("disconnected", status)


@pytest.mark.usefixtures("outage")
def test_it_recovers_by_itself(pair: Pair) -> None:
    """Requests are decided again (else `outage` had failed), in the same process, and health reports it."""
    for server in (pair.denying, pair.allowing):
        for path in ("/health", "/readyz"):
            poll(lambda url=server.base_url + path: plain_http.get(url).status_code == 200)  # type: ignore[misc]
        assert server.process.poll() is None
        assert {line["level"] for line in server.lines()} <= {"info", "warning"}


def test_nothing_is_lost_or_counted_twice(outage: Outage, pair: Pair) -> None:
    """A request that was answered with 503 is counted at most once."""
    used = contract.used(pair.denying.port, pair.rule_id, "restart")
    assert balance(outage.denied, used) == Balance(lost=0, invented=0)


@pytest.mark.usefixtures("outage")
def test_nothing_is_lost_when_postgresql_crashes(cluster: Cluster, pair: Pair) -> None:
    """A killed backend terminates all sessions of PostgreSQL; still no count is lost or doubled."""
    server = pair.denying
    with Race([server.port], cycle("crash", 5), clients=8) as race:
        poll(lambda: race.admitted() >= 100, within_s=30)
        victim, witness = (psycopg.connect(cluster.dsn("outage"), autocommit=True) for _ in range(2))
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        poll(lambda: terminated(witness), within_s=30)
        victim.close()
        crashed = time.monotonic()
        poll(lambda: answered(race, ADMITTED, crashed), within_s=RECOVERS_WITHIN_S)
    assert {one.status for one in race.seen} <= {ADMITTED, UNDECIDED}
    used = contract.used(server.port, pair.rule_id, "crash")
    assert balance(race.seen, used) == Balance(lost=0, invented=0)


def terminated(connection: psycopg.Connection) -> bool:
    """Return whether PostgreSQL has terminated a session."""
    try:
        connection.execute("SELECT")
    except psycopg.OperationalError:
        return True
    return False


def test_a_frozen_database_blocks_no_request(cluster: Cluster, pair: Pair, tmp_path: Path) -> None:
    """When PostgreSQL accepts connections but never answers, requests get 503 or pass, and SIGTERM stops the server."""
    with servers(pair.denying.dsn, tmp_path) as start:
        denying, allowing = (start(RATE_LIMIT_ON_DB_DOWN=word) for word in ("deny", "allow"))
        for server in (denying, allowing):
            assert (
                plain_http.get(f"{server.base_url}/api/nothing").status_code == 404
            )  # decided; its statistics are stored soon
        with frozen(cluster):
            started = time.monotonic()
            denied = denying.get(f"{denying.home}/usage", timeout=30)
            passed = plain_http.get(f"{allowing.base_url}/api/nothing", timeout=30)
            took = time.monotonic() - started
            started = time.monotonic()
            for server in (denying, allowing):
                server.process.send_signal(signal.SIGTERM)
            exit_codes = [server.process.wait(30) for server in (denying, allowing)]
            stopped_after = time.monotonic() - started
    assert (denied.status_code, passed.status_code, exit_codes) == (UNDECIDED, 404, [0, 0])
    assert took < 2 * (TIMEOUT_S + 2)
    assert stopped_after < 10
    assert {line["level"] for server in (denying, allowing) for line in server.lines()} <= {"info", "warning"}


@contextmanager
def frozen(cluster: Cluster) -> Iterator[None]:
    """Suspend all processes of PostgreSQL, as when a machine or a disk hangs."""
    first = psutil.Process(int((cluster.folder / "data" / "postmaster.pid").read_text().partition("\n")[0]))
    first.suspend()
    processes = [first, *first.children(recursive=True)]
    try:
        for process in processes:
            process.suspend()
        yield
    finally:
        for process in reversed(processes):
            process.resume()
