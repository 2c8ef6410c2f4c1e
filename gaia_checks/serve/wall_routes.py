"""What each address answers: the page, its data, and the reports that it links. Sockets are the server's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from html import escape
from importlib.resources import files
from pathlib import Path
from urllib.parse import parse_qs, quote

from gaia_checks.serve import report_files, wall_page
from gaia_checks.serve.board import Board
from gaia_checks.serve.page_access import COOKIE, PageAccess

_HTML = report_files.TYPES[".html"]
_ASSETS = {"/page.css": "text/css; charset=utf-8", "/page.js": "text/javascript; charset=utf-8"}
_OWN_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_REPORT = (  # one file with everything in it, which needs localStorage; it may request and open nothing
    "sandbox allow-scripts allow-same-origin allow-downloads; default-src 'none'; "
    "script-src 'unsafe-inline' 'unsafe-eval' blob: data:; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; connect-src data: blob:; frame-src data: blob:; "
    "base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
_LOCKED = """<!doctype html><html lang="en"><meta charset="utf-8">{again}<title>gaia serve</title>
<p>This page needs a token: open it once with ?token=..., or send it as Authorization: Bearer ...</p></html>
"""


@dataclass(frozen=True, slots=True)
class WallAnswer:
    """One response."""

    status: int
    body: bytes
    kind: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    policy: str = _OWN_PAGE


class WallRoutes:
    """Answers requests by what the board knows."""

    def __init__(self, board: Board, access: PageAccess, reports: Path) -> None:
        self._board = board
        self._access = access
        self._reports = reports

    def answer(self, target: str, headers: Message) -> WallAnswer:
        """Answer a GET."""
        if not self._access.right_host(headers.get_all("Host", [])):
            return _text(403, "this page is for this machine: open it as localhost")
        path, _, query = target.partition("?")
        wanted = parse_qs(query, keep_blank_values=True)
        if path == "/" and self._access.is_token(wanted.get("token", [""])[0]):
            cookie = f"{COOKIE}={self._access.session()}; Path=/; HttpOnly; SameSite=Strict"
            return WallAnswer(303, b"", headers={"Location": "/", "Set-Cookie": cookie})
        if not self._access.admits(headers.get("Authorization", ""), headers.get("Cookie", "")):
            return _locked(path, tried="again" in wanted)
        return self._found(path)

    def _found(self, path: str) -> WallAnswer:
        if path == "/":
            page = wall_page.document(self._board.newest(), datetime.now(UTC))
            return WallAnswer(200, page.encode(), _HTML)
        if path == "/status.json":
            return self._status()
        if path in _ASSETS:
            content = files("gaia_checks.serve").joinpath(f"wall_{path[1:]}").read_bytes()
            return WallAnswer(200, content, _ASSETS[path])
        if path.startswith("/reports/") and (file := report_files.find(self._reports, path.removeprefix("/reports/"))):
            return WallAnswer(200, file.read_bytes(), report_files.TYPES[file.suffix], policy=_REPORT)
        return _text(404, "nothing is here; the page is at /")

    def _status(self) -> WallAnswer:
        found = self._board.newest()
        if found.at is None or found.fault:
            return _text(503, f"not read: {found.fault or 'the first reading takes long; try again'}")
        rows = json.dumps([row.to_json() for row in found.rows], indent=2)
        read = {"Last-Modified": found.at.strftime("%a, %d %b %Y %H:%M:%S GMT")}
        return WallAnswer(200, rows.encode(), report_files.TYPES[".json"], read)


def _text(status: int, text: str) -> WallAnswer:
    return WallAnswer(status, f"{text}\n".encode())


def _locked(path: str, *, tried: bool) -> WallAnswer:
    """Refuse. A browser that follows a link of another site leaves the cookie out: it tries once more by itself."""
    again = "" if tried else f'<meta http-equiv="refresh" content="0;url={escape(quote(path, safe="/%"))}?again">'
    page = _LOCKED.format(again=again)
    return WallAnswer(401, page.encode(), _HTML, {"WWW-Authenticate": "Bearer"})
