"""`gaia_server`: reads the settings, opens or inherits the sockets, serves until SIGTERM.

Exit code 0 after SIGTERM or Ctrl-C, 4 when a setting is invalid or the port is in use.
"""

import gc
import os
import signal
import socket
import sys
from collections.abc import Mapping
from types import FrameType

import uvicorn

from gaia_server import __version__, logs, settings
from gaia_server.app_state import Server, executable_digest
from gaia_server.http import app
from gaia_server.http.bounded_protocol import BoundedHttpProtocol
from gaia_server.http.bounded_websocket import BoundedWebSocketProtocol
from gaia_server.settings import Settings, SettingsError

FIRST_FD = 3
DRAIN_S = 5  # after SIGTERM, for running requests; their database statements may take 4.5 s more
BACKLOG = 2048


def main() -> None:
    """Run the server."""
    if sys.argv[1:] == ["--version"]:
        print(f"gaia_server {__version__}")
        return
    if sys.argv[1:]:
        _refuse(f"{sys.argv[1]}: unknown argument; the only option is --version, settings are environment variables")
    signal.signal(signal.SIGTERM, _exit)
    try:
        chosen = settings.read(os.environ)
        sockets = handed_over(os.environ, os.getpid())
        settings.check_exposure(chosen, _addresses(sockets) if sockets else [chosen.host])
        sockets = sockets or [_listen(chosen)]
    except SettingsError as error:
        _refuse(str(error))
    logs.configure()
    config = _config(Server(chosen, executable_digest(sys.argv[0])))
    gc.collect()
    gc.freeze()  # modules and routes live as long as the process: searching them cost a tenth of a decision
    try:
        uvicorn.Server(config).run(sockets=sockets)
    except KeyboardInterrupt:
        _exit(signal.SIGINT, None)


def _config(server: Server) -> uvicorn.Config:
    return uvicorn.Config(
        app.build(server),
        http=BoundedHttpProtocol,
        ws=BoundedWebSocketProtocol,
        ws_max_size=4096,  # messages of clients are ignored
        ws_per_message_deflate=False,
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_config=None,
        proxy_headers=False,  # limiting.principal decides which proxies are trusted
        server_header=False,
        timeout_keep_alive=75,  # longer than a proxy or a client pool keeps an idle connection
        timeout_graceful_shutdown=DRAIN_S,
    )


def handed_over(variables: Mapping[str, str], pid: int) -> list[socket.socket]:
    """Return the listening sockets that the parent process handed over (systemd's LISTEN_FDS protocol).

    Empty when there are none, or when they are for another process. Raises SettingsError.
    """
    count = variables.get("LISTEN_FDS", "0")
    if variables.get("LISTEN_PID", str(pid)) != str(pid) or count == "0":
        return []
    if count not in ("1", "2"):
        raise SettingsError(f"LISTEN_FDS: {count!r} must be 1 (the public socket) or 2 (a private socket as well)")
    try:
        return [socket.socket(fileno=FIRST_FD + index) for index in range(int(count))]
    except OSError as error:
        raise SettingsError(f"LISTEN_FDS: file descriptors from {FIRST_FD} on are not sockets: {error}") from error


def _addresses(sockets: list[socket.socket]) -> list[str]:
    return [one.getsockname()[0] for one in sockets if one.family in (socket.AF_INET, socket.AF_INET6)]


def _listen(chosen: Settings) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((chosen.host, chosen.port))
        listener.listen(BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(f"PORT: cannot listen on {chosen.host}:{chosen.port}: {reason}; choose another") from error
    return listener


def _exit(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _refuse(message: str) -> None:
    print(f"gaia_server: {message}", file=sys.stderr)
    raise SystemExit(4)


if __name__ == "__main__":
    main()
