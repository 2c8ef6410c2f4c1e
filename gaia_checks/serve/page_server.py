"""The page's server: the standard library's, one thread per connection, GET and HEAD only."""

import errno
import signal
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

from gaia_checks.environment.environment import is_loopback
from gaia_checks.environment.environment_file import reports_folder
from gaia_checks.errors import ConfigurationError, PortInUse
from gaia_checks.model import Log
from gaia_checks.promotion import overview
from gaia_checks.promotion.environment_row import EnvironmentRow
from gaia_checks.serve.board import Board
from gaia_checks.serve.page_access import PageAccess
from gaia_checks.serve.wall_routes import WallAnswer, WallRoutes

_MOST = 64  # connections at a time: whoever opens more costs this machine nothing
_TIMEOUT_S = 10  # for a request to arrive, and for its answer to be taken
_ALWAYS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageServer(socketserver.ThreadingTCPServer):
    """Listens from the start. Raises ConfigurationError, PortInUse among them."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, host: str, port: int, token: str | None, read: Callable[[], Sequence[EnvironmentRow]]) -> None:
        self.address_family, address = _resolve(host, port)
        access = PageAccess(host, token, loopback=is_loopback(address[0]))
        self.routes = WallRoutes(Board(read), access, reports_folder())
        self._free = threading.BoundedSemaphore(_MOST)
        try:
            super().__init__(address, _Handler)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(f"serve: port {port} of {host} is in use; give another: --port {port + 1}") from error
            raise ConfigurationError(f"serve: cannot listen on {host} port {port}: {error.strerror}") from error
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.server_address[1]}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or close the connection where too many are open."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, then let another connection in."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report a fault of ours; a client that went away is none."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection with one request."""

    server: PageServer
    timeout = _TIMEOUT_S
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = "text/plain; charset=utf-8"

    def do_GET(self) -> None:
        """Answer."""
        self._send(self.server.routes.answer(self.path, self.headers))

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.do_GET()

    def parse_request(self) -> bool:
        """Read the request line and headers; refuse every method that could change something."""
        if not super().parse_request():
            return False
        if self.command in ("GET", "HEAD"):
            return True
        self._send(WallAnswer(405, b"only GET and HEAD\n", headers={"Allow": "GET, HEAD"}))
        return False

    def _send(self, answer: WallAnswer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Content-Security-Policy", answer.policy)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def end_headers(self) -> None:
        """Add what every answer has, that to a malformed request included."""
        for name, value in _ALWAYS.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        """Return what the answers name as their server."""
        return "gaia"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Log no request: an address may contain the token."""


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """Return the family and the address to bind."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"serve: --host: {host!r} is no address of this machine; give e.g. 0.0.0.0") from error
    family, _, _, _, address = found[0]
    return family, address


def serve(host: str, port: int, token: str | None, url: str | None, log: Log) -> None:
    """Serve the page until Ctrl-C or SIGTERM. Raises ConfigurationError, PortInUse among them."""
    with PageServer(host, port, token, lambda: overview.overview(url)) as server:
        how = "; open it once with ?token=, the value of GAIA_SERVE_TOKEN" if token else ""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            log(f"serving {server.url} until Ctrl-C{how}")
            server.serve_forever()
        except KeyboardInterrupt:
            log("stopped")
