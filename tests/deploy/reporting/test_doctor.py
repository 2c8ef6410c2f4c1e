"""The doctor finds each real cause and names the command that fixes it."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from gaia_checks.deploy import rollout
from gaia_checks.deploy.reporting import doctor
from gaia_checks.deploy.reporting.doctor import Diagnosis
from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.environment.project import ROOT
from tests.deploy.stage import Stage

CHECKS = (
    "variables", "database connection", "database exists", "migrations applied", "port", "server answers",
    "WebSocket upgrade", "rate limiting enforced", "load generator", "ledger",
)  # fmt: skip


def examine(stage: Stage) -> dict[str, Diagnosis]:
    """The doctor's findings, by check."""
    return {finding.check: finding for finding in doctor.examine(stage.environment)}


def states(found: dict[str, Diagnosis]) -> dict[str, str]:
    """The checks that are not "ok", with their state."""
    return {check: finding.state for check, finding in found.items() if finding.state != "ok"}


@contextmanager
def answering(code: int) -> Iterator[str]:
    """A server whose /health answers 200 and every other path `code`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # required by a WebSocket handshake

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.send_response(200 if self.path == "/health" else code)
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_real_server_passes_and_then_fails_two_checks(stage: Stage, executable: Path) -> None:
    """All checks pass and leave no rule; an undone migration and disabled limiting are both found."""
    rollout.deploy(stage.environment, artifact=executable, migrations=ROOT / "migrations")
    done = stage.gaia("doctor", str(stage.file), "--json")
    assert done.returncode == 0, done.stdout
    assert [(one["check"], one["state"], one["fix"]) for one in json.loads(done.stdout)] == [
        (check, "ok", None) for check in CHECKS
    ]
    assert "client-" not in json.dumps(stage.get("/api/admin/quotas/config"))
    stage.variables["RATE_LIMIT_ENABLED"] = "false"
    rollout.deploy(stage.environment, artifact=executable, migrations=ROOT / "migrations")
    with psycopg.connect(stage.variables["DATABASE_URL"]) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE version = '051_push_messages'")
    found = examine(stage)
    assert states(found) == {"migrations applied": "wrong", "rate limiting enforced": "wrong"}
    assert found["migrations applied"].finding == "not applied: 051_push_messages"
    assert found["migrations applied"].fix == "gaia deploy stage PHASE"
    assert found["rate limiting enforced"].finding == "request 3 of 2 allowed was answered 200, not 429"
    assert found["rate limiting enforced"].fix == "export RATE_LIMIT_ENABLED=true; gaia deploy stage PHASE"


def test_nothing_deployed_on_a_fresh_database(stage: Stage) -> None:
    """Unapplied migrations and the missing server are reported; checks that depend on the server are skipped."""
    found = examine(stage)
    assert states(found) == {
        "migrations applied": "wrong",
        "server answers": "wrong",
        "WebSocket upgrade": "unknown",
        "rate limiting enforced": "unknown",
    }
    assert found["migrations applied"].fix == "gaia migrate stage up"
    assert found["port"].finding == f"port {stage.environment.port} is free"
    assert found["server answers"].finding.endswith("; nothing is deployed")
    assert found["server answers"].fix == "gaia deploy stage PHASE"


def test_a_missing_database_and_a_taken_port_are_named(stage: Stage) -> None:
    """The fix names the database; the process that listens on the port is named with its pid."""
    stage.variables["DATABASE_URL"] = stage.variables["DATABASE_URL"].replace("/t_", "/no_")
    name = conninfo_to_dict(stage.variables["DATABASE_URL"])["dbname"]
    with socket.create_server(("127.0.0.1", stage.environment.port)):
        found = examine(stage)
    assert found["database exists"].finding == f"database {name} does not exist"
    assert str(found["database exists"].fix).startswith("createdb -h /")
    assert str(found["database exists"].fix).endswith(f" -U postgres {name}")
    assert found["migrations applied"].state == "unknown"
    assert found["migrations applied"].finding == "blocked by database exists"
    assert f"(pid {os.getpid()})" in found["port"].finding
    assert found["port"].fix == f"kill {os.getpid()}, if it is not needed; else export PORT=..."


def test_where_workers_join_is_checked(stage: Stage) -> None:
    """An address that this machine does not have is wrong; one that others reach is shown with a warning."""
    text, port = stage.file.read_text(), free_port()

    def generator(master: str) -> Diagnosis:
        stage.file.write_text(f'{text}\n[looks.load]\nworkers = 4\nmaster = "{master}"\n')
        return examine(stage)["load generator"]

    elsewhere = generator(f"192.0.2.1:{port}")
    assert elsewhere.finding == f"no worker can join at 192.0.2.1:{port}: Cannot assign requested address"
    assert elsewhere.fix == f"set looks.load.master in {stage.file.name}, or: ss -ltnp 'sport = :{port}'"
    here = f"4 workers that join at 127.0.0.1:{port} within 60 s, engine locust; start them with: gaia load worker"
    assert generator(f"127.0.0.1:{port}").finding == f"{here} --master 127.0.0.1:{port}"
    assert generator(f"0.0.0.0:{port}").finding.endswith(
        "; whoever reaches that port can join: keep it in a private network"
    )


def test_an_unreachable_database_is_reported_without_its_password(stage: Stage) -> None:
    """The table has one line per check, a missing variable is reported too, and the exit code is 1."""
    text = stage.file.read_text().replace("[environment.", 'required = ["ADMIN_TOKEN"]\n[environment.')
    stage.file.write_text(text)
    url = "postgresql://gaia:canary-9a2@127.0.0.1:1/x"
    done = stage.gaia("doctor", str(stage.file), DATABASE_URL=url)
    assert (done.returncode, done.stderr) == (1, "")
    assert "canary" not in done.stdout
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["check", "state", "finding", "fix"]
    assert len(lines) == len(CHECKS)
    assert lines[0].startswith("variables               wrong    stage: ADMIN_TOKEN not set")
    assert lines[0].endswith("export ADMIN_TOKEN=...")
    assert "the database does not answer: " in lines[1]
    assert "  blocked by database connection  " in lines[3]  # the cause, not what is unknown in between
    assert lines[1].endswith('psql "$DATABASE_URL" -c "SELECT 1"; systemctl start postgresql')


@pytest.mark.parametrize(
    ("code", "hint", "fix"),
    [
        (403, "/ws/admin/quotas: the upgrade was refused with 403", "export ADMIN_TOKEN=..."),
        (400, "refused with 400; a proxy in between must forward Upgrade and Connection", "curl -i {url}/health"),
    ],
)
def test_a_refused_upgrade_is_reported_with_its_reason(stage: Stage, code: int, hint: str, fix: str) -> None:
    """A healthy server that refuses the WebSocket and the temporary rule gets a finding for each."""
    with answering(code) as url:
        stage.file.write_text(stage.file.read_text().replace("[environment.", f'base_url = "{url}"\n[environment.'))
        found = examine(stage)
        assert found["server answers"].state == "ok"
        assert found["WebSocket upgrade"].finding.endswith(hint)
        assert found["WebSocket upgrade"].fix == fix.format(url=url)
        assert found["rate limiting enforced"].state == "wrong"
        assert f"answers {code}, so limiting cannot be tested" in found["rate limiting enforced"].finding


def test_a_stopped_embedded_database_is_reported(embedded_stage: Stage) -> None:
    """The fix is a deployment, which starts it."""
    found = examine(embedded_stage)
    assert found["database connection"].finding == "the embedded PostgreSQL is not running"
    assert found["database connection"].fix == "gaia deploy stage"


def test_listeners_of_a_port_are_found_by_pid() -> None:
    """A port in use gives the pid of its process, a free port nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert set(doctor.listeners(server.getsockname()[1])) == {os.getpid()}
    assert doctor.listeners(free_port()) == {}
