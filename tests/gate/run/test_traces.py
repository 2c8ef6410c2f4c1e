"""The gate's traces in the target are found and removed."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gaia_checks.gate.run import traces
from tests.probes.servers import RUN, serving, target

CONFIG = "/api/admin/quotas/config"


class Rules:
    """A server's rules; one in the middle is the run's. It answers 500 after too many page requests."""

    def __init__(self, count: int, *, pages: bool) -> None:
        """Make `count` rules, listed page by page or always from the first one."""
        self.rules: list[dict[str, Any]] = [{"id": number, "rule_name": f"theirs-{number}"} for number in range(count)]
        self.rules[count // 2]["rule_name"] = target("http://x").key
        self.pages, self.requests, self.deleted = pages, 0, list[int]()

    @property
    def routes(self) -> list[BaseRoute]:
        """Its routes."""
        return [Route(CONFIG, self.listed), Route(CONFIG + "/{id:int}", self.delete, methods=["DELETE"])]

    async def listed(self, request: Request) -> Response:
        """Return one page."""
        self.requests += 1
        if self.requests > 10:
            return Response(status_code=500)
        offset = int(request.query_params["offset"]) if self.pages else 0
        return JSONResponse({"items": self.rules[offset : offset + int(request.query_params["limit"])]})

    async def delete(self, request: Request) -> Response:
        """Record the deleted rule."""
        self.deleted.append(request.path_params["id"])
        return Response(status_code=204)


@pytest.mark.parametrize(
    ("count", "pages", "requests"), [(7, True, 1), (100, True, 2), (250, True, 3), (150, False, 2)]
)
def test_a_runs_rule_is_found_on_any_page(count: int, pages: bool, requests: int) -> None:
    """The search also ends when a server always returns the same page."""
    server = Rules(count, pages=pages)
    with serving(*server.routes) as url:
        assert traces.remove(target(url), {RUN}) == []
    assert (server.deleted, server.requests) == ([count // 2], requests)
