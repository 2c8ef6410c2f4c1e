"""A fault: it breaks one property of a correct ASGI application. `wrong` has all of them.

`request` selects the requests it breaks: a regular expression that is searched for in a request's head:

    GET /api/admin/quotas/usage?limit=5
    host: 127.0.0.1:8080
    x-api-key: client-9f86d081884c

A fault passes from a test to the server through a file, so it has plain fields only. Its state resets whenever it is
switched on.
"""

import re
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(kw_only=True)
class Way:
    """The base class of all faults."""

    request: str = ""  # all requests
    spared: int = 0  # this many are served correctly before
    every: int = 1  # of the others, one in this many is broken
    _matched: int = field(default=0, init=False)

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
        if not re.search(self.request, head(scope), re.DOTALL):
            return False
        self._matched += 1
        return self._matched > self.spared and (self._matched - self.spared) % self.every == 0

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
