"""A gaia_server under other names: the real one, its paths, fields, parameters and metrics called otherwise.

The renaming is an ASGI layer around its application, put there where uvicorn takes the application. Under the
contract's own names nothing is there.
"""

import json
import re
import zipapp
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import uvicorn

PATHS = {
    "/health": "/healthz",
    "/readyz": "/up",
    "/metrics": "/prom",
    "/openapi.json": "/description",
    "/api/admin/quotas": "/v2",
    "/api/admin/quotas/config": "/v2/limits",
    "/ws/admin/quotas": "/live",
}

FIELDS = {
    "rule_name": "name", "limit_value": "ceiling", "items": "results", "limit": "page_size", "status": "state",
    "uptime_s": "age", "seq": "number", "data": "payload",
}  # fmt: skip

METRICS = {"gaia_database_pool_max": "pool_most", "gaia_database_pool_in_use": "pool_busy"}

SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from tests.support.renamed import main
main()
"""


def table() -> str:
    """The part of an environment file that tells the names."""
    tables = {"paths": PATHS, "fields": FIELDS, "metrics": METRICS}
    lines = [
        line
        for kind, table in tables.items()
        for line in (f"[contract.{kind}]", *(f'"{ours}" = "{theirs}"' for ours, theirs in table.items()))
    ]
    return "\n".join(lines) + "\n"


def write(folder: Path, root: Path) -> Path:
    """Write the executable, one file as the real one is."""
    source = folder / "renamed"
    source.mkdir()
    (source / "__main__.py").write_text(SCRIPT.format(root=str(root)))
    zipapp.create_archive(source, folder / "renamed_server", interpreter="/usr/bin/env python3")
    return folder / "renamed_server"


class Renamed:
    """Wraps an ASGI application."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection under the other names."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        query = [(_asked(name), value) for name, value in parse_qsl(scope["query_string"].decode(), True)]
        scope = {**scope, "path": (path := _inner(scope["path"])), "raw_path": path.encode()}
        scope["query_string"] = urlencode(query).encode()
        if scope["type"] == "websocket":
            await self._app(scope, receive, _renaming(send))
        else:
            await _http(self._app, scope, receive, send)


async def _http(app: Any, scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    body = _changed(body, _asked)
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
    headers += [(b"content-length", str(len(body)).encode())] if body else []
    answer: dict[str, Any] = {"body": b""}
    whole = [{"type": "http.request", "body": body}]

    async def received() -> Any:
        return whole.pop() if whole else await receive()

    async def kept(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer["start"] = message
        else:
            answer["body"] += message.get("body", b"")

    await app({**scope, "headers": headers}, received, kept)
    content = _outer_metrics(answer["body"]) if scope["path"] == "/metrics" else _changed(answer["body"], _told)
    told = [(name, _outer(value.decode()).encode() if name == b"location" else value)
            for name, value in answer["start"]["headers"] if name != b"content-length"]  # fmt: skip
    told += [(b"content-length", str(len(content)).encode())] if answer["start"]["status"] != 204 else []
    await send({**answer["start"], "headers": told})
    await send({"type": "http.response.body", "body": content})


def _renaming(send: Any) -> Any:
    async def sent(message: Any) -> None:
        if message["type"] == "websocket.send":
            message = {**message, "text": _changed(message["text"].encode(), _told).decode()}
        await send(message)

    return sent


def _inner(path: str) -> str:
    """Return the application's own path; whoever asks for that itself is nowhere."""
    for ours, theirs in sorted(PATHS.items(), key=lambda pair: -len(pair[1])):
        if path == theirs or path.startswith(theirs + "/"):
            return ours + path.removeprefix(theirs)
    return path if _outer(path) == path else f"/nowhere{path}"


def _outer(path: str) -> str:
    for ours, theirs in sorted(PATHS.items(), key=lambda pair: -len(pair[0])):
        if path == ours or path.startswith(ours + "/"):
            return theirs + path.removeprefix(ours)
    return path


def _told(word: str) -> str:
    return FIELDS.get(word, _outer(word))


def _asked(word: str) -> str:
    back = {theirs: ours for ours, theirs in FIELDS.items()}
    return back.get(word, f"no_{word}" if word in FIELDS else word)


def _changed(text: bytes, rename: Any) -> bytes:
    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {rename(key): walk(item) for key, item in value.items()}
        return [walk(item) for item in value] if isinstance(value, list) else value

    try:
        return json.dumps(walk(json.loads(text))).encode()
    except (ValueError, RecursionError):
        return text


def _outer_metrics(text: bytes) -> bytes:
    for ours, theirs in METRICS.items():
        text = re.sub(rb"\b%b\b" % ours.encode(), theirs.encode(), text)
    return text


def main() -> None:
    """Run gaia_server with the layer around its application."""
    from gaia_server.__main__ import main as serve

    original = uvicorn.Config.__init__

    def wrapped(self: uvicorn.Config, app: Any, *args: Any, **kwargs: Any) -> None:
        original(self, Renamed(app), *args, **kwargs)

    uvicorn.Config.__init__ = wrapped  # type: ignore[method-assign]
    serve()
