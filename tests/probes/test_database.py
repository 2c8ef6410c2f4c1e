"""The database probe."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.probes import database as look_at_database
from tests.probes.servers import HEALTHY, answering, serving, target


def look(at: Target) -> dict[str, Measurement]:
    """Run the probe and return its measurements, without the prefix of their names."""
    return {observed.name.removeprefix("database."): observed for observed in look_at_database.probe(at)}


def test_the_real_server_is_connected(server: Target) -> None:
    """/health reports the connection, and PostgreSQL lists its sessions."""
    observed = look(server)
    assert observed["health_says_connected"].value is True
    assert observed["server_sessions"].value >= 1
    assert observed["server_sessions"].n == 1


def test_a_server_that_says_it_is_disconnected_is_not_connected() -> None:
    """A 503 of /health counts as not connected."""
    body = {**HEALTHY, "status": "unhealthy", "checks": {"database": {"status": "disconnected"}}}
    with serving(answering("/health", body, 503)) as url:
        observed = look(target(url))
    assert (observed["health_says_connected"].value, observed["health_says_connected"].n) == (False, 1)
    assert "503" in observed["health_says_connected"].notes[0]


def test_connected_with_a_503_is_not_connected() -> None:
    """Status and body must agree."""
    with serving(answering("/health", HEALTHY, 503)) as url:
        assert look(target(url))["health_says_connected"].value is False


def test_only_sessions_of_the_server_in_that_database_count(database: str, postgres: str) -> None:
    """Sessions of other applications or in other databases do not count."""
    with serving(answering("/health", HEALTHY)) as url:
        at = target(url, database_url=database)
        with (
            psycopg.connect(database, application_name="somebody"),
            psycopg.connect(postgres, application_name="gaia_server"),
        ):
            assert (look(at)["server_sessions"].value, look(at)["server_sessions"].n) == (0, 1)
        with psycopg.connect(database, application_name="gaia_server"):
            assert look(at)["server_sessions"].value == 1


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        (None, "no DATABASE_URL"),
        ("postgresql://gaia:canary@127.0.0.1:9/gaia", "cannot connect"),
        ("postgresql://gaia:canary@[/gaia", "no connection string"),
        ("canary", "no connection string"),
    ],
)
def test_an_unobservable_database_is_not_judged(server: Target, dsn: str | None, said: str) -> None:
    """Without a session there are no samples, but a reason, without the password."""
    sessions = look(replace(server, database_url=dsn))["server_sessions"]
    assert sessions.n == 0
    assert said in sessions.notes[0]
    assert "export DATABASE_URL (with sslmode=require where the database is elsewhere)" in sessions.notes[0]
    assert "canary" not in str(sessions)


@pytest.mark.parametrize(("sslmode", "observed"), [("prefer", 1), ("require", 0)])
def test_a_remote_database_is_queried_with_the_required_encryption(server: Target, sslmode: str, observed: int) -> None:
    """Works over TCP for a server known by its URL alone; required TLS refuses a server without it."""
    assert server.database_url is not None
    name = urlsplit(server.database_url).path
    with relay(parse_qs(urlsplit(server.database_url).query)["host"][0]) as port:
        dsn = f"postgresql://postgres:canary@127.0.0.1:{port}{name}?sslmode={sslmode}"
        at = target(server.base_url, admin_token=server.admin_token, database_url=dsn)
        sessions = look(at)["server_sessions"]
    assert sessions.n == observed
    assert "SSL was required" in str(sessions.notes) or sslmode == "prefer"
    assert "canary" not in str(sessions)


@contextmanager
def relay(folder: str) -> Iterator[int]:
    """Let PostgreSQL, which listens in a folder, be reached over TCP; yield the port."""

    class Pass(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as behind:
                behind.connect(f"{folder}/.s.PGSQL.5432")
                back = threading.Thread(target=copy, args=(behind, self.request))
                back.start()
                copy(self.request, behind)
                back.join()

    def copy(from_: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := from_.recv(65536):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Pass) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield listening.server_address[1]
        finally:
            listening.shutdown()
            thread.join()


def test_no_listener_is_no_data() -> None:
    """Without a listener the probe raises TargetUnreachable."""
    with pytest.raises(TargetUnreachable, match="is it running"):
        look(target(f"http://127.0.0.1:{free_port()}"))
