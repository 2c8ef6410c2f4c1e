"""`gaia_server`: read the settings, take the sockets, serve until SIGTERM.

Exit code 0 after SIGTERM or Ctrl-C, 4 when a setting is no good or the port is taken.
"""

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
from gaia_server.settings import Settings, SettingsError

FIRST_FD = 3
GRACE_S = 5  # for running requests; what is then said to the database may take 4.5 s more
BACKLOG = 2048


def main() -> None:
    """Run the server."""
    if sys.argv[1:] == ["--version"]:
        print(f"gaia_server {__version__}")
        return
    if sys.argv[1:]:
        _refuse(f"{sys.argv[1]}: unknown argument; the one flag is --version, settings are environment variables")
    signal.signal(signal.SIGTERM, _leave)
    try:
        chosen = settings.read(os.environ)
        sockets = handed_over(os.environ, os.getpid()) or [_listen(chosen)]
    except SettingsError as error:
        _refuse(str(error))
    logs.configure()
    server = Server(chosen, executable_digest(sys.argv[0]))
    try:
        uvicorn.Server(_config(server)).run(sockets=sockets)
    except KeyboardInterrupt:
        _leave(signal.SIGINT, None)


def _config(server: Server) -> uvicorn.Config:
    return uvicorn.Config(
        app.build(server),
        http=BoundedHttpProtocol,
        ws="websockets-sansio",
        ws_max_size=4096,  # clients have nothing to say
        ws_per_message_deflate=False,
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_config=None,
        proxy_headers=False,  # whom to believe is decided by limiter.principal
        server_header=False,
        timeout_keep_alive=75,  # longer than a proxy or a client pool keeps an idle connection
        timeout_graceful_shutdown=GRACE_S,
    )


def handed_over(variables: Mapping[str, str], pid: int) -> list[socket.socket]:
    """Return the listening sockets that our parent gave us (the protocol of systemd's LISTEN_FDS).

    None when there are none, or when they are meant for another process. Raises SettingsError.
    """
    count = variables.get("LISTEN_FDS", "0")
    if variables.get("LISTEN_PID", str(pid)) != str(pid) or count == "0":
        return []
    if count not in ("1", "2"):
        raise SettingsError(f"LISTEN_FDS: {count!r} is not 1 (the public socket) or 2 (and a private one)")
    try:
        return [socket.socket(fileno=FIRST_FD + index) for index in range(int(count))]
    except OSError as error:
        raise SettingsError(f"LISTEN_FDS: file descriptor {FIRST_FD} and on are not sockets: {error}") from error


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


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _refuse(message: str) -> None:
    print(f"gaia_server: {message}", file=sys.stderr)
    raise SystemExit(4)


if __name__ == "__main__":
    main()
