"""Does a server that answers also keep what it promises? Health, config API, WebSocket, database, identity."""

import json
import time
from collections.abc import Callable

import httpx
import psutil
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from gaia_checks import files
from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.state import processes
from gaia_checks.environment import Server
from gaia_checks.errors import GaiaError, VerifyError
from gaia_checks.model import Target
from gaia_checks.target import rules
from gaia_checks.target.client import client, message, websocket_headers, websocket_url

PATIENCE_S = 10.0
"""How long one promise may take to be kept: a rule may hold us back for a moment, stats come every 5 s."""

_CONFIG = "/api/admin/quotas/config"
_STATS = "/ws/admin/quotas"


def verify(target: Target, server: Server, *, ahead: frozenset[str] = frozenset()) -> None:
    """Return when `target` keeps every promise. Raises VerifyError naming the one that it does not.

    `target` brings its release, process and database; `server` says how it is talked to. Migrations among
    `ahead` may be applied although the release does not know them.
    """
    _step("identity", lambda: _identity(target))
    if server.paths:
        _step("paths", lambda: _paths(target, server.paths))
    else:
        _step("health", lambda: _health(target))
        _step("config API", lambda: _config_api(target))
        _step("WebSocket", lambda: _websocket(target))
    if target.database_url and target.process:
        migrations, dsn = target.process.artifact.parent / "migrations", target.database_url
        _step("database", lambda: runner.verify(dsn, migrations, ahead=ahead))


def _step(name: str, check: Callable[[], str | None]) -> None:
    try:
        wrong = check()
    except (httpx.HTTPError, WebSocketException, OSError, ValueError, GaiaError) as error:
        raise VerifyError(f"{name}: {error or type(error).__name__}") from error
    if wrong:
        raise VerifyError(f"{name}: {wrong}")


def _health(target: Target) -> str | None:
    with client(target) as http:
        answer = http.get("/health")
    if answer.status_code != 200:
        return f"/health answers {answer.status_code}: {answer.text[:200]}"
    body = answer.json()
    if body.get("status") != "healthy":
        return f"/health says {body.get('status')!r}, not 'healthy'"
    digest, expected = body.get("digest"), target.release.sha256 if target.release else None
    if digest and expected and digest.removeprefix("sha256:") != expected:
        return f"/health names digest {digest}, but {expected} was deployed"
    return None


def _paths(target: Target, paths: tuple[str, ...]) -> str | None:
    with client(target, keyed=False) as http:
        for path in paths:
            if (answer := http.get(path)).status_code != 200:
                return f"{path} answers {answer.status_code}: {answer.text[:200]}"
    return None


def _config_api(target: Target) -> str | None:
    deadline = time.monotonic() + PATIENCE_S
    with client(target) as http:
        while (answer := http.get(_CONFIG)).status_code == 429 and time.monotonic() < deadline:
            time.sleep(min(1.0, rules.later_s(answer)))
    if answer.status_code != 200:
        return f"GET {_CONFIG} answers {answer.status_code}: {answer.text[:200]}"
    answer.json()
    return None


def _websocket(target: Target) -> str | None:
    url = websocket_url(target, _STATS)
    with connect(url, additional_headers=websocket_headers(target), open_timeout=PATIENCE_S, proxy=None) as socket:
        said = json.loads(message(target, socket.recv(timeout=PATIENCE_S)))
    if not isinstance(said, dict) or "type" not in said:
        return f"{_STATS} sent no message with a type: {str(said)[:200]}"
    return None


def _identity(target: Target) -> str | None:
    process, release = target.process, target.release
    if process is None or release is None:
        return "nothing is known of the process"
    if not processes.alive(process.pid, process.birth):
        return f"process {process.pid} has ended"
    running = psutil.Process(process.pid)
    if str(process.artifact) not in (running.exe(), *running.cmdline()):
        return f"process {process.pid} runs {running.cmdline()[:2]}, not {process.artifact}"
    if files.sha256(process.artifact) != release.sha256:
        return f"{process.artifact} is not the file that was released"
    return None
