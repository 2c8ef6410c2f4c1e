"""The product's own program with two additional empty routes: `/empty`, and the limited `/api/empty`.

With the argument `one-call-product` or `one-call-lean` a separate SQL call decides every request.
"""

import sys

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.limiter import one_call
from gaia_server import __main__ as program
from gaia_server.app_state import Server
from gaia_server.http import app

BUILD = app.build
HOW = sys.argv.pop().removeprefix("one-call-") if sys.argv[1:] else None


async def empty(_request: Request) -> Response:
    """Return an empty response."""
    return Response()


def build(server: Server) -> Starlette:
    """Return the product's application with the two routes."""
    built = BUILD(server)
    built.router.routes += [Route(path, empty) for path in ("/empty", "/api/empty")]
    if HOW:
        one_call.replace(server, HOW)
    return built


if __name__ == "__main__":
    app.build = build
    program.main()
