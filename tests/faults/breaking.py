"""Context managers that seed a fault for the duration of their block, and yield the deployment to gate."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.postgres import owner
from gaia_checks.deploy.postgres.dsn import renamed
from gaia_checks.deploy.state import processes
from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.environment.project import ROOT
from tests.faults.place import Place
from tests.faults.way import Way
from tests.faults.wrong import Crashing, Saying
from tests.probes import servers
from tests.support import altered_server, certificates
from tests.support.ground import until

Break = Callable[[Place], AbstractContextManager[Place]]

_LOCK = 4711
_ANOTHER = "another"


def wrong(*ways: Way) -> Break:
    """Switch on faults of the server."""

    @contextmanager
    def breaking(place: Place) -> Iterator[Place]:
        with place.switch.on(*ways):
            yield place

    return breaking


def wrong_before(*ways: Way) -> Break:
    """Switch on faults of the previous release, which runs only on the rehearsal copy."""

    @contextmanager
    def breaking(place: Place) -> Iterator[Place]:
        with place.switch_before.on(*ways):
            yield place

    return breaking


def saying(line: str) -> Break:
    """Make the server write a log line; it counts until another process starts."""

    @contextmanager
    def breaking(place: Place) -> Iterator[Place]:
        try:
            with place.switch.on(Saying(line=line)):
                yield place
        finally:
            place.crash()

    return breaking


@contextmanager
def crashing_after_the_websocket(place: Place) -> Iterator[Place]:
    """Kill the server after the last WebSocket of the gate's look has closed; the supervisor restarts it.

    The gate opens one when it starts, and two for the look. After them it only reads the log, and looks at the process.
    """
    try:
        with place.switch.on(Crashing(request="GET /ws/", spared=2)):
            yield place
    finally:
        place.until_it_serves()


def done(statements: str, *, undone: str) -> Break:
    """Change something in the server's database, as a superuser."""

    @contextmanager
    def breaking(place: Place) -> Iterator[Place]:
        with place.connect_superuser() as session:
            session.execute(statements)
        try:
            yield place
        finally:
            with place.connect_superuser() as session:
                session.execute(undone)

    return breaking


@contextmanager
def idle_in_a_transaction(place: Place) -> Iterator[Place]:
    """Leave a session of the server idle in a transaction."""
    with place.connect("gaia_server") as session, session.transaction():
        yield place


@contextmanager
def waiting_for_a_lock(place: Place) -> Iterator[Place]:
    """Make a session of the server wait for a lock."""
    with closing(place.connect("gaia_server")) as waiter, place.connect() as holder:
        holder.execute(f"SELECT pg_advisory_lock({_LOCK})")
        waiter.pgconn.send_query(b"SELECT pg_advisory_lock(%d)" % _LOCK)
        yield place


@contextmanager
def beside_another_build(place: Place) -> Iterator[Place]:
    """Yield the deployment as the first of two instances; the other one is built from the same source anew."""
    with TemporaryDirectory() as folder, _instance(place, altered_server.write(Path(folder) / "other")) as both:
        yield both


@contextmanager
def beside_an_absent_one(place: Place) -> Iterator[Place]:
    """Yield the deployment as the first of two instances; nothing listens at the other one's address."""
    yield replace(place, instances=(place.ground.url, f"http://127.0.0.1:{free_port()}"))


@contextmanager
def _instance(place: Place, executable: Path) -> Iterator[Place]:
    """Run one more server of the deployment; yield the deployment with both addresses."""
    port = free_port()
    given = {"DATABASE_URL": place.database_url, **place.ground.variables, "PORT": str(port)}
    process = subprocess.Popen((sys.executable, str(executable)), env=given, stderr=subprocess.DEVNULL)
    try:
        until(lambda: processes.listener_pid(port) == process.pid)
        yield replace(place, instances=(place.ground.url, f"http://127.0.0.1:{port}"))
    finally:
        process.kill()
        process.wait()


@contextmanager
def another_database(place: Place) -> Iterator[Place]:
    """Yield the deployment with another DATABASE_URL: the same schema, and no server session."""
    url = renamed(place.database_url, _ANOTHER)
    with place.connect_superuser() as session:
        session.execute(f"CREATE DATABASE {_ANOTHER} OWNER {owner.OWNER}")
    runner.up(url, ROOT / "migrations")
    try:
        extra = {**place.ground.extra, "DATABASE_URL": url}
        yield replace(place, ground=replace(place.ground, database="external", extra=extra))
    finally:
        place.ground.environment_file()
        with place.connect_superuser() as session:
            session.execute(f"DROP DATABASE {_ANOTHER} WITH (FORCE)")


def secured(name: str = "IP:::1", **validity: float) -> Break:
    """Put a TLS terminator before the server, with a certificate for this name and validity (`certificates.make`)."""

    @contextmanager
    def breaking(place: Place) -> Iterator[Place]:
        with TemporaryDirectory() as folder:
            certificate = certificates.make(Path(folder), name, **validity)
            with servers.secured(servers.target(place.ground.url), certificate) as before:
                trusting = replace(place.ground, extra={**place.ground.extra, "SSL_CERT_FILE": certificate.authority})
                yield replace(place, ground=trusting, address=before.base_url)

    return breaking


@contextmanager
def other_bytes_on_disk(place: Place) -> Iterator[Place]:
    """Replace the running executable, as a copy of a new build over it does."""
    process = place.status.process
    assert process is not None
    file, released = process.artifact, process.artifact.read_bytes()
    file.chmod(0o755)
    try:
        file.write_bytes(released + b"\n")
        yield place
    finally:
        file.write_bytes(released)
        file.chmod(0o555)


@contextmanager
def nothing(place: Place) -> Iterator[Place]:
    """Break nothing: the deployed migrations are already faulty."""
    yield place
