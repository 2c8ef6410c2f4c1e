"""The dashboard: static files. The page is public, its data is not."""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parent
PAGE = "/admin/quotas"
ASSETS = "/admin/assets"

HEADERS = {
    "Cache-Control": "no-cache",  # revalidated each time (304), so a new release is visible at once
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def handlers() -> dict[str, Callable[[Request], Awaitable[Response]]]:
    """Return a handler for each path: the page and the files it loads."""
    files = [file for file in sorted(FOLDER.rglob("*")) if file.suffix in _TYPES]
    return {_path(file): _handler(file) for file in files}


def _path(file: Path) -> str:
    return PAGE if file.name == "index.html" else f"{ASSETS}/{file.relative_to(FOLDER).as_posix()}"


def _handler(file: Path) -> Callable[[Request], Awaitable[Response]]:
    content = file.read_bytes()
    headers = {**HEADERS, "ETag": f'"{hashlib.sha256(content).hexdigest()[:16]}"'}

    async def handler(request: Request) -> Response:
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=_TYPES[file.suffix])

    return handler
