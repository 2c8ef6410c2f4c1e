"""The product's own program with two routes more, which do nothing: `/empty`, and the limited `/api/empty`.

With `one-call` as its argument every request is decided by an SQL call of its own: what group commit is compared to.
"""

import sys

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.limiter import one_call
from gaia_server import __main__ as program
from gaia_server import app
from gaia_server.server import Server

BUILD = app.build


async def empty(_request: Request) -> Response:
    """Answer with nothing."""
    return Response()


def build(server: Server) -> Starlette:
    """Return the product's application, and the two routes."""
    built = BUILD(server)
    built.router.routes += [Route(path, empty) for path in ("/empty", "/api/empty")]
    return built


if __name__ == "__main__":
    app.build = build
    if sys.argv[1:] == ["one-call"]:
        one_call.replace()
    sys.argv = sys.argv[:1]
    program.main()
