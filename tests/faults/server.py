"""A gaia_server with a switch: a file names the fault that it shows from now on.

The product is untouched: the fault is an ASGI layer around its application, put there where uvicorn takes
the application. One word in the switch file turns it on, an empty file turns it off.
"""

import json
import sys
import zipapp
from pathlib import Path
from typing import Any

import uvicorn

SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from tests.faults.server import main
main({switch!r})
"""


def write(folder: Path, root: Path) -> tuple[Path, Path]:
    """Write the executable, one file as the real one is, and its switch; return both."""
    executable, switch = folder / "faulty_server", folder / "switch"
    switch.write_text("")
    source = folder / "faulty"
    source.mkdir()
    (source / "__main__.py").write_text(SCRIPT.format(root=str(root), switch=str(switch)))
    zipapp.create_archive(source, executable, interpreter="/usr/bin/env python3")
    return executable, switch


class Faulty:
    """Wraps an ASGI application."""

    def __init__(self, app: Any, switch: Path) -> None:
        self._app = app
        self._switch = switch
        self._logged = False
        self._kept: dict[str, list[Any]] = {}  # path -> the messages of its first answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection, wrongly where the switch says so."""
        fault, _, argument = self._switch.read_text().strip().partition(" ")
        if fault == "log" and not self._logged:
            self._logged = True
            sys.stderr.write(json.dumps({"time": "2026-02-26T10:00:00Z", "level": "error", "msg": "seeded"}) + "\n")
            sys.stderr.flush()
        if scope["type"] == "http" and fault.isdecimal() and scope["path"] == argument:
            await _answer(send, int(fault))
        elif scope["type"] == "http" and fault == "frozen" and scope["path"] == argument:
            await self._frozen(scope, receive, send)
        elif scope["type"] == "http" and fault == "open" and scope["path"] == argument:
            await self._app(scope, receive, _opened(send))
        elif scope["type"] == "websocket":
            await self._app(scope, receive, self._muted(send))
        elif scope["type"] == "http" and fault == "rewrite":
            await self._app(scope, receive, _rewriting(send, scope["path"], json.loads(argument)))
        else:
            await self._app(scope, receive, send)

    async def _frozen(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as the first time, as a cache does that nobody empties."""
        if scope["path"] not in self._kept:
            kept: list[Any] = []

            async def keep(message: Any) -> None:
                kept.append(message)

            await self._app(scope, receive, keep)
            self._kept[scope["path"]] = kept
        for message in self._kept[scope["path"]]:
            await send(message)

    def _muted(self, send: Any) -> Any:
        async def sent(message: Any) -> None:
            muted = self._switch.read_text().strip().partition(" ")
            if muted[0] != "mute" or f'"type":"{muted[2]}"' not in str(message.get("text", "")).replace(" ", ""):
                await send(message)

        return sent


def _opened(send: Any) -> Any:
    """Let a request pass that the limiter refused, as one does that is in doubt."""

    async def sent(message: Any) -> None:
        await send({**message, "status": 404} if message.get("status") == 429 else message)

    return sent


async def _answer(send: Any, status: int) -> None:
    body = json.dumps({"type": "about:blank", "title": "seeded", "status": status}).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _rewriting(send: Any, path: str, changes: list[dict[str, str]]) -> Any:
    """Change the texts that are served below `path`."""
    changes = [change for change in changes if change["path"] == path]
    begun: dict[str, Any] = {}

    async def sent(message: Any) -> None:
        if not changes:
            await send(message)
        elif message["type"] == "http.response.start":
            begun.update(message)
        else:
            body = message["body"].decode()
            for change in changes:
                body = body.replace(change["old"], change["new"])
            headers = [(name, value) for name, value in begun["headers"] if name != b"content-length"]
            length = (b"content-length", str(len(body.encode())).encode())
            await send({**begun, "headers": [*headers, length]})
            await send({**message, "body": body.encode()})

    return sent


def main(switch: str) -> None:
    """Run gaia_server with the layer around its application."""
    from gaia_server.__main__ import main as serve

    original = uvicorn.Config.__init__

    def wrapped(self: uvicorn.Config, app: Any, *args: Any, **kwargs: Any) -> None:
        original(self, Faulty(app, Path(switch)), *args, **kwargs)

    uvicorn.Config.__init__ = wrapped  # type: ignore[method-assign]
    serve()
