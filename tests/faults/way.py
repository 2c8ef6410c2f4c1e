"""A fault: it breaks one property of a correct ASGI application. `wrong` has all of them.

Whom it spoils is told by `asks`, a regular expression that is searched for in the head of a request:

    GET /api/admin/quotas/usage?limit=5
    host: 127.0.0.1:8080
    x-api-key: gaia-run-20260226T100000Z-3fa9c1

A way travels from a test to the server by a file, so it has plain fields only. What it remembers begins anew whenever
it is switched on.
"""

import re
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(kw_only=True)
class Way:
    """The base class of all faults."""

    asks: str = ""  # everybody
    spared: int = 0  # so many are served well before
    every: int = 1  # of the others, one in so many is spoiled
    _seen: int = field(default=0, init=False)

    def begin(self) -> None:
        """Spoil the start of the server."""

    def end(self) -> None:
        """Release resources."""

    async def serve(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        if self._chooses(scope):
            await self.spoil(app, scope, receive, send)
        else:
            await app(scope, receive, send)

    async def spoil(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection wrongly."""
        await app(scope, receive, send)

    def _chooses(self, scope: Any) -> bool:
        if not re.search(self.asks, head(scope), re.DOTALL):
            return False
        self._seen += 1
        return self._seen > self.spared and (self._seen - self.spared) % self.every == 0

    def to_json(self) -> dict[str, Any]:
        """Return its name and fields."""
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        return {"way": type(self).__name__, **given}


def head(scope: Any) -> str:
    """Return the request line, as in HTTP/1.1; a WebSocket handshake is a GET as well."""
    if scope["type"] == "lifespan":
        return ""
    query = f"?{scope['query_string'].decode()}" if scope["query_string"] else ""
    headers = (f"{name.decode()}: {value.decode()}\n" for name, value in scope["headers"])
    return f"{scope.get('method', 'GET')} {scope['path']}{query}\n{''.join(headers)}"
