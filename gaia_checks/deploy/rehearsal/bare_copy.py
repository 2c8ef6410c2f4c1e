"""A rehearsal copy without a supervisor: a probe starts and ends its servers, and its PostgreSQL fails on command.

Servers are children of the gate, so their exit codes are known. They listen on PORT and inherit no socket.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import psycopg
from psycopg import sql

from gaia_checks import contract
from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.postgres import database_connection, owner
from gaia_checks.deploy.postgres.dsn import DATABASE
from gaia_checks.deploy.postgres.embedded import Cluster, of
from gaia_checks.deploy.rehearsal import rehearsal_copy
from gaia_checks.deploy.state import paths, processes
from gaia_checks.deploy.steps import swap
from gaia_checks.deploy.supervisor import log_line, log_rotation, spawn
from gaia_checks.deploy.supervisor.supervised_server import MARK
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import ConfigurationError, DeployError, NotReady
from gaia_checks.model import Target

_ELSEWHERE_S = 3.0  # a server that listens, but not on PORT for so long, will not
_ANSWER_S = 5.0
_POLL_S = 0.05
_SESSIONS_EXIT_S = 30.0
_QUIET = 5  # looks in a row without a session: one that was just being opened is listed after a moment
_END_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND coalesce(datname, %(name)s) = %(name)s
"""


@dataclass(frozen=True)
class OwnServer:
    """A server that the probe started itself."""

    target: Target
    process: subprocess.Popen[bytes]


@dataclass(frozen=True)
class BareCopy:
    """A migrated database of its own, and the release to start on it."""

    environment: Environment  # its own
    run: str
    release: Path
    cluster: Cluster
    database: str = DATABASE
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, port: int | None = None, **variables: str) -> OwnServer:
        """Start a server on `port`, by default a free one, and return it when its health is good.

        An empty variable is left out, also where the environment sets it. Raises NotReady with the log's last line.
        """
        port = port or spawn.free_port()
        address = {"DATABASE_URL": self.cluster.dsn(self.database), "PORT": str(port)}
        given = {**swap.variables(self.environment), MARK: str(self._cache), **variables, **address}
        own = {name: value for name, value in given.items() if value}
        log = paths.of(self.environment).logs / f"{port}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                (str(self.release / "gaia_server"),),
                env=own,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started.append(process)
        self._until_it_serves(process, port, log)
        return OwnServer(self._target(port), process)

    @property
    def database_url(self) -> str:
        """The connection string of its database."""
        return self.cluster.dsn(self.database)

    def left(self) -> list[str]:
        """Return the running processes of this copy's servers: `python3 (pid 123)`."""
        found = []
        for pid, _ in processes.marked(MARK, self._cache):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(f"{psutil.Process(pid).name()} (pid {pid})")
        return found

    def is_free(self, port: int) -> bool:
        """Whether another server could listen on `port`."""
        try:
            spawn.listen("0.0.0.0", port).close()  # noqa: S104 - closed at once
        except ConfigurationError:
            return False
        return True

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop PostgreSQL for the duration of the block."""
        self.cluster.stop()
        try:
            yield
        finally:
            self.cluster.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze PostgreSQL for the duration of the block."""
        self.cluster.freeze()
        try:
            yield
        finally:
            self.cluster.thaw()

    @contextmanager
    def out_of_connections(self) -> Iterator[None]:
        """End all sessions, and let PostgreSQL refuse new ones for the duration of the block, as when it is full."""
        try:
            self._limit_connections(0)
            yield
        finally:
            self._limit_connections(-1)

    def _limit_connections(self, limit: int) -> None:
        limited = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(
            sql.Identifier(self.database), sql.Literal(limit)
        )
        try:
            with psycopg.connect(
                self.cluster.dsn("postgres", account=owner.SUPERUSER), autocommit=True, connect_timeout=10
            ) as admin:
                admin.execute(limited)
                if limit == 0:
                    self._end_sessions(admin)
        except psycopg.Error as error:
            raise DeployError(f"{self.environment.name}: {database_connection.message(error)}") from error

    def _end_sessions(self, admin: psycopg.Connection) -> None:
        """Return when every session has exited. Raises DeployError."""
        deadline, quiet = time.monotonic() + _SESSIONS_EXIT_S, 0
        while quiet < _QUIET:
            quiet = 0 if admin.execute(_END_SESSIONS, {"name": self.database}).rowcount else quiet + 1
            if time.monotonic() > deadline:
                raise DeployError(f"{self.environment.name}: a session of {self.database} does not exit")
            time.sleep(_POLL_S)  # PostgreSQL announces no session's exit

    @property
    def _cache(self) -> Path:
        return paths.of(self.environment).caches / "bare"

    def _target(self, port: int) -> Target:
        return Target(
            environment=self.environment.name,
            base_url=f"http://127.0.0.1:{port}",
            run=self.run,
            names=self.environment.names,
            admin_token=self.environment.values["ADMIN_TOKEN"],
            database_url=self.cluster.dsn(self.database),
        )

    def _until_it_serves(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        started, ready_s = time.monotonic(), self.environment.server.ready_s
        url = f"http://127.0.0.1:{port}{contract.path(self.environment.names, '/health')}"
        while not _is_good(url):
            elapsed_s, elsewhere = time.monotonic() - started, _listens_on(process.pid) - {port}
            if process.poll() is not None:
                why = f"exited with {process.returncode}"
            elif elsewhere and elapsed_s > _ELSEWHERE_S and port not in _listens_on(process.pid):
                why = f"listens on port {min(elsewhere)} instead"
            elif elapsed_s > ready_s:
                why = f"is not healthy after {ready_s:.0f} s"
            else:
                time.sleep(_POLL_S)
                continue
            last_line = log_line.in_one_line(log_rotation.last_line(log, 0))[:300]
            raise NotReady(f"started with PORT={port} it {why}; last log line: {last_line}")

    def end(self) -> None:
        """Kill every server."""
        for process in self._started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def bare(target: Target, environment: Environment, purpose: str) -> Iterator[BareCopy]:
    """Yield a bare copy beside `target`; stop and remove it afterwards. Raises what `rehearsal_copy.beside` raises."""
    with rehearsal_copy.room(target, environment, purpose) as (own, release), opened(own, target.run, release) as copy:
        yield copy


@contextmanager
def opened(own: Environment, run: str, release: Path, database: str = DATABASE) -> Iterator[BareCopy]:
    """Yield a bare copy in the environment `own`, with PostgreSQL running and migrated; kill its servers afterwards."""
    cluster = of(own)
    if cluster is None:
        raise ConfigurationError(f"{own.name}: has no embedded PostgreSQL")
    paths.private(paths.of(own).caches)
    cluster.start()
    database_connection.ensure_exists(cluster.dsn(database))
    runner.up(cluster.dsn(database), release / "migrations")
    copy = BareCopy(own, run, release, cluster, database)
    try:
        yield copy
    finally:
        copy.end()


def _is_good(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        # plain http: without `verify` each request loads the system's authorities, 25 ms of CPU
        return httpx.get(url, trust_env=False, verify=False, timeout=_ANSWER_S).status_code == 200  # noqa: S501
    return False


def _listens_on(pid: int) -> set[int]:
    """Return the TCP ports on which the process or a descendant listens."""
    found: set[int] = set()
    with contextlib.suppress(psutil.Error):
        first = psutil.Process(pid)
        for process in (first, *first.children(recursive=True)):
            sockets = process.net_connections("tcp")
            found |= {one.laddr.port for one in sockets if one.status == psutil.CONN_LISTEN}
    return found
