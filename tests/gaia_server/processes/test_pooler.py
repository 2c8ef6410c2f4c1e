"""The server behind a PgBouncer: transaction mode is refused with a reason, session mode works."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from gaia_checks.deploy.supervisor.spawn import free_port
from tests.deploy.stage import eventually
from tests.gaia_server.conftest import ROOT, servers
from tests.support import pgbouncer


def test_through_a_pooler_in_transaction_mode_the_database_counts_as_unavailable(schema: str, tmp_path: Path) -> None:
    """Requests are answered 503, never 500, and the log says what is needed."""
    port, log = free_port(), tmp_path / "server.log"
    with pgbouncer.before(schema, mode="transaction") as dsn, log.open("w") as file:
        process = subprocess.Popen(
            (sys.executable, "-m", "gaia_server"), cwd=ROOT, stderr=file,
            env={"PATH": os.environ["PATH"], "DATABASE_URL": dsn, "PORT": str(port)},
        )  # fmt: skip
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                eventually(lambda: answers(client))
                codes = {client.get(path).status_code for path in ("/readyz", "/api/admin/quotas/config") * 10}
                eventually(lambda: "a pooler in transaction mode" in log.read_text())
        finally:
            process.terminate()
            assert process.wait(10) == 0
    assert codes == {503}
    assert "pool_mode=session" in log.read_text()
    assert "DuplicatePreparedStatement" not in log.read_text()


def answers(client: httpx.Client) -> bool:
    """Whether the server answers at all."""
    try:
        return client.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


def test_through_a_pooler_of_sessions_the_server_limits(schema: str, tmp_path: Path) -> None:
    """In session mode everything works: decisions, notifications, the prepared statement."""
    with pgbouncer.before(schema, mode="session") as dsn, servers(dsn, tmp_path) as start:
        server = start()
        codes = [server.get(f"{server.base_url}/api/admin/quotas/usage").status_code for _ in range(150)]
    assert set(codes) == {200, 429}
