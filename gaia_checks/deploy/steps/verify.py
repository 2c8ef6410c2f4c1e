"""Verify that a running server fulfils the contract: identity, health, config API, WebSocket, database."""

import json
from collections.abc import Callable

import httpx
import psutil
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from gaia_checks import files
from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.state import processes
from gaia_checks.environment.environment import ServerSettings
from gaia_checks.errors import GaiaError, VerifyError
from gaia_checks.model import Target
from gaia_checks.printable import printable
from gaia_checks.target import rules
from gaia_checks.target.client import client, message, websocket_headers, websocket_url

TIMEOUT_S = 10.0
"""Time limit of one check: a rule may limit its requests for a moment, and stats arrive every 5 s."""

_CONFIG = "/api/admin/quotas/config"
_STATS = "/ws/admin/quotas"


def verify(target: Target, server: ServerSettings, *, ahead: frozenset[str] = frozenset()) -> None:
    """Run every check on `target`. Raises VerifyError naming the check that failed.

    `target` includes its release, process and database; `server` defines its health paths. Migrations in `ahead` may
    be applied although the release does not know them.
    """
    _check("identity", lambda: _identity(target))
    if server.paths:
        _check("paths", lambda: _paths(target, server.paths))
    else:
        _check("health", lambda: _health(target))
        _check("config API", lambda: _config_api(target))
        _check("WebSocket", lambda: _websocket(target))
    if target.database_url and target.process:
        migrations, dsn = target.process.artifact.parent / "migrations", target.database_url
        _check("database", lambda: runner.verify(dsn, migrations, ahead=ahead))


def _check(name: str, check: Callable[[], str | None]) -> None:
    try:
        failure = check()
    except (httpx.HTTPError, WebSocketException, OSError, ValueError, GaiaError) as error:
        raise VerifyError(printable(f"{name}: {error or type(error).__name__}")) from error
    if failure:
        raise VerifyError(printable(f"{name}: {failure}"))


def _health(target: Target) -> str | None:
    with client(target) as http:
        response = http.get("/health")
    if response.status_code != 200:
        return f"/health answers {response.status_code}: {response.text[:200]}"
    body = response.json()
    if body.get("status") != "healthy":
        return f"/health reports status {body.get('status')!r}, not 'healthy'"
    digest, expected = body.get("digest"), target.release.sha256 if target.release else None
    if digest and expected and digest.removeprefix("sha256:") != expected:
        return f"/health reports digest {digest}, but {expected} was deployed"
    return None


def _paths(target: Target, paths: tuple[str, ...]) -> str | None:
    with client(target, keyed=False) as http:
        for path in paths:
            if (response := http.get(path)).status_code != 200:
                return f"{path} answers {response.status_code}: {response.text[:200]}"
    return None


def _config_api(target: Target) -> str | None:
    with client(target) as http:
        response = rules.send(http, "GET", _CONFIG, patience=rules.Patience(TIMEOUT_S))
    if response.status_code != 200:
        return f"GET {_CONFIG} answers {response.status_code}: {response.text[:200]}"
    response.json()
    return None


def _websocket(target: Target) -> str | None:
    url = websocket_url(target, _STATS)
    with connect(url, additional_headers=websocket_headers(target), open_timeout=TIMEOUT_S, proxy=None) as socket:
        first = json.loads(message(target, socket.recv(timeout=TIMEOUT_S)))
    if not isinstance(first, dict) or "type" not in first:
        return f"{_STATS} sent no message with a type: {str(first)[:200]}"
    return None


def _identity(target: Target) -> str | None:
    process, release = target.process, target.release
    if process is None or release is None:
        return "the process is unknown"
    if not processes.alive(process.pid, process.birth):
        return f"process {process.pid} has exited"
    running = psutil.Process(process.pid)
    if str(process.artifact) not in (running.exe(), *running.cmdline()):
        return f"process {process.pid} runs {running.cmdline()[:2]}, not {process.artifact}"
    if files.sha256(process.artifact) != release.sha256:
        return f"{process.artifact} is not the file that was released"
    return None
