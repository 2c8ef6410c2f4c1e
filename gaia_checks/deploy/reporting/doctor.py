"""Diagnose an environment: check each usual cause; report the finding and the command that fixes it."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import psutil
from psycopg.conninfo import conninfo_to_dict
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.postgres import database_connection, embedded
from gaia_checks.deploy.reporting import status
from gaia_checks.deploy.reporting.status import Status
from gaia_checks.deploy.state import deployment_ledger, paths, supervisor_state
from gaia_checks.environment import load_master
from gaia_checks.environment.environment import Environment, is_loopback
from gaia_checks.environment.project import PROJECT
from gaia_checks.errors import ConfigurationError, GaiaError
from gaia_checks.model import Target
from gaia_checks.target import rules
from gaia_checks.target.client import client, key, websocket_headers, websocket_url

_NONE = "this server needs no database"
_ANOTHER_CONTRACT = "this server implements another contract"
_EXPORT = "export DATABASE_URL=postgresql://user:password@host:5432/name"
_TIMEOUT_S = 10.0
_LIMIT = 2
_CONFIG = "/api/admin/quotas/config"
_USAGE = "/api/admin/quotas/usage"
_LIVE = "/ws/admin/quotas"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The outcome of one check."""

    check: str
    state: str  # "ok", "wrong", or "unknown": a check that it depends on failed
    finding: str
    fix: str | None = None  # the command that fixes it, when the check failed


class CheckFailed(Exception):
    """A failed check: the finding and the command that fixes it."""

    def __init__(self, finding: str, fix: str) -> None:
        super().__init__(finding)
        self.fix = fix


def examine(environment: Environment) -> tuple[Diagnosis, ...]:
    """Run every check. Changes nothing, except for one temporary rule that is created and deleted."""
    return tuple(_Examination(environment).findings())


class _Examination:
    """The checks of one environment."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._here = paths.of(environment)
        self._status: Status = status.status(environment)
        self._cluster = embedded.of(environment)
        self._dsn = self._cluster.dsn() if self._cluster else environment.values.get("DATABASE_URL")
        self._deploy = f"gaia deploy {environment.name}" + ("" if environment.database == "embedded" else " PHASE")
        self._target = Target(
            environment=environment.name,
            base_url=environment.base_url or self._status.base_url,
            run=f"doctor-{secrets.token_hex(4)}",
            names=environment.names,
            client_names=environment.client_names,
            # a token that a deployment made here is for the server that is deployed here
            admin_token=environment.values.get("ADMIN_TOKEN") if environment.base_url else environment.admin_token,
        )

    def findings(self) -> Iterator[Diagnosis]:
        """Yield one finding per check; a check that depends on a failed one is skipped."""
        variables = self._run("variables", self._variables)
        connection = self._run("database connection", self._connection)
        existing = self._run("database exists", self._existing, connection)
        yield from (variables, connection, existing)
        yield self._run("migrations applied", self._migrations, existing)
        yield self._run("port", self._port)
        health = self._run("server answers", self._health)
        yield health
        yield self._run("WebSocket upgrade", self._websocket, health)
        yield self._run("rate limiting enforced", self._rate_limiting, health)
        yield self._run("load generator", self._generator)

    def _run(self, name: str, check: Callable[[], str], needed: Diagnosis | None = None) -> Diagnosis:
        if needed and needed.state != "ok":
            blocked = needed.finding if needed.state == "unknown" else f"blocked by {needed.check}"
            return Diagnosis(name, "unknown", blocked, needed.fix)
        redact = self._environment.redact
        try:
            return Diagnosis(name, "ok", redact(check()))
        except CheckFailed as wrong:
            return Diagnosis(name, "wrong", redact(str(wrong)), wrong.fix)

    def _variables(self) -> str:
        try:
            self._environment.variables()
        except ConfigurationError as error:
            missing = next(name for name in self._environment.required if not self._environment.values.get(name))
            raise CheckFailed(str(error).partition(";")[0], f"export {missing}=...") from error
        return f"all {len(self._environment.required)} required ones are set"

    def _connection(self) -> str:
        if self._environment.database == "none":
            return _NONE
        if self._cluster and not self._cluster.running():
            raise CheckFailed("the embedded PostgreSQL is not running", self._deploy)
        if self._dsn is None:
            raise CheckFailed("DATABASE_URL is not set", _EXPORT)
        try:
            database_connection.reach(self._dsn)
        except ConfigurationError as error:
            unanswered = 'psql "$DATABASE_URL" -c "SELECT 1"; systemctl start postgresql'
            raise CheckFailed(str(error), unanswered if error.__cause__ else _EXPORT) from error
        return f"PostgreSQL answers at {self._whereabouts().get('host', 'localhost')}"

    def _existing(self) -> str:
        if self._environment.database == "none":
            return _NONE
        where = self._whereabouts()
        name = database_connection.database_name(self._dsn or "")
        try:
            database_connection.connect(self._dsn or "").close()
        except ConfigurationError as error:
            options = "".join(f" -{letter} {where[option]}" for letter, option in _CREATEDB if option in where)
            raise CheckFailed(f"database {name} does not exist", f"createdb{options} {name}") from error
        return f"database {name} exists"

    def _migrations(self) -> str:
        if self._environment.database == "none":
            return _NONE
        release = self._status.release_dir
        folder = (release or PROJECT) / "migrations"
        if not folder.is_dir():
            return "none: there is no folder migrations/"
        try:
            runner.verify(self._dsn or "", folder, ahead=deployment_ledger.migrated(self._environment))
        except GaiaError as error:
            fix = self._deploy if release else f"gaia migrate {self._environment.name} up"
            raise CheckFailed(str(error).partition("; run:")[0], fix) from error
        return f"all of {release.name if release else 'the working tree'} are applied"

    def _port(self) -> str:
        port, running = self._environment.port, self._status.process is not None
        others = {pid: name for pid, name in listeners(port).items() if pid not in self._own_pids()}
        if others:
            pid, name = next(iter(others.items()))
            owner = f"{name} (pid {pid})" if pid else "a process of another account"
            fix = (
                f"kill {pid}, if it is not needed; else export PORT=..."
                if pid
                else f"ss -ltnp 'sport = :{port}'   (as root)"
            )
            raise CheckFailed(f"port {port} is in use by {owner}", fix)
        if running and not listeners(port):
            raise CheckFailed(f"the server runs, but does not listen on port {port}", self._deploy)
        if running:
            return f"the server listens on port {port}; next swap: {self._status.next_swap}"
        return f"port {port} is free"

    def _health(self) -> str:
        path = next(iter(self._environment.server.paths), "/health")
        try:
            with client(self._target) as http:
                response = http.get(path)
        except (httpx.HTTPError, GaiaError) as error:
            state = "nothing is deployed" if self._status.state == "stopped" else f"the server is {self._status.state}"
            fix = self._deploy if self._status.release_dir is None else f"gaia logs {self._environment.name}"
            raise CheckFailed(
                f"no answer at {self._target.base_url}: {error or type(error).__name__}; {state}", fix
            ) from error
        if response.status_code != 200:
            raise CheckFailed(
                f"{path} answers {response.status_code}: {response.text[:200]}", f"gaia logs {self._environment.name}"
            )
        return f"healthy at {self._target.base_url}"

    def _websocket(self) -> str:
        if self._environment.server.paths:
            return _ANOTHER_CONTRACT
        url = websocket_url(self._target, _LIVE)
        try:
            headers = websocket_headers(self._target)
            with connect(url, additional_headers=headers, open_timeout=_TIMEOUT_S, proxy=None) as socket:
                socket.recv(timeout=_TIMEOUT_S)
        except InvalidStatus as error:
            code = error.response.status_code
            fix = "export ADMIN_TOKEN=..." if code in (401, 403) else f"curl -i {self._target.base_url}/health"
            hint = "; a proxy in between must forward Upgrade and Connection" if code in (400, 426, 502) else ""
            raise CheckFailed(f"{_LIVE}: the upgrade was refused with {code}{hint}", fix) from error
        except (WebSocketException, OSError) as error:
            raise CheckFailed(
                f"{_LIVE}: {error or type(error).__name__}", f"gaia logs {self._environment.name}"
            ) from error
        return f"{_LIVE} connects and sends"

    def _rate_limiting(self) -> str:
        """A temporary rule for the doctor's own key must limit its requests."""
        if self._environment.server.paths:
            return _ANOTHER_CONTRACT
        rule = rules.for_one_key(key(self._target), "requests_per_minute", _LIMIT)
        try:
            with (
                client(self._target, keyed=False) as http,
                client(self._target) as limited,
                rules.temporary(http, rule) as created,
            ):
                if created.status_code == 429:
                    return "the doctor's own requests were limited"
                if created.status_code != 201:
                    raise CheckFailed(
                        f"POST {_CONFIG} answers {created.status_code}, so limiting cannot be tested", _fix_for(created)
                    )
                statuses = [limited.get(_USAGE).status_code for _ in range(_LIMIT + 1)]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise CheckFailed(str(error) or type(error).__name__, f"gaia logs {self._environment.name}") from error
        if statuses[-1] != 429:
            raise CheckFailed(
                f"request {_LIMIT + 1} of {_LIMIT} allowed was answered {statuses[-1]}, not 429",
                f"export RATE_LIMIT_ENABLED=true; {self._deploy}",
            )
        return f"request {_LIMIT + 1} of {_LIMIT} allowed was answered 429"

    def _generator(self) -> str:
        """Workers must be able to join: the gate's machine has the address, and its port is free."""
        load = self._environment.load
        if not load.workers:
            return f"{load.generator}, engine {load.engine}"
        host, _, port = load.master.rpartition(":")
        if why := load_master.why_closed(load):
            fix = f"set looks.load.master in {self._environment.path.name}, or: ss -ltnp 'sport = :{port}'"
            raise CheckFailed(why, fix)
        warning = "" if is_loopback(host) else "; whoever reaches that port can join: keep it in a private network"
        return f"{load.generator}, engine {load.engine}; start them with: {load.join_command}{warning}"

    def _whereabouts(self) -> dict[str, str]:
        return {name: str(value) for name, value in conninfo_to_dict(self._dsn or "").items() if value is not None}

    def _own_pids(self) -> set[int | None]:
        found = supervisor_state.read(self._here.record)
        return {one.pid for one in (found.server, found.supervisor) if one and one.alive} if found else set()


_CREATEDB = (("h", "host"), ("p", "port"), ("U", "user"))


def listeners(port: int) -> dict[int | None, str]:
    """Return the processes that listen on TCP `port`: pid -> name; pid None is a process of another account."""
    found: dict[int | None, str] = {}
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # macOS, without root
        return found
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and getattr(connection.laddr, "port", None) == port:
            found[connection.pid] = _name(connection.pid)
    return found


def _name(pid: int | None) -> str:
    try:
        return psutil.Process(pid).name() if pid else "another process"
    except psutil.NoSuchProcess:
        return "a process that has just exited"


def _fix_for(response: httpx.Response) -> str:
    return "export ADMIN_TOKEN=..." if response.status_code in (401, 403) else f"curl -i {response.url}"
