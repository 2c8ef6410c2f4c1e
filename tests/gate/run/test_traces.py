"""The gate's traces in the target are found and removed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gaia_checks.gate.run import traces
from gaia_checks.target.client import client
from tests.probes.servers import RUN, real, serving, target
from tests.support import patched
from tests.support.patched import Change

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


FORGETS_THE_RING: Change = (
    "migrations/050_rate_limiting.sql",
    "    DELETE FROM rate_limit_ring AS r USING gone WHERE r.key = gone.key AND r.rule_id = gone.rule_id;\n",
    "",
)
NO_LONGER_IN_FORCE: Change = (
    "gaia_server/storage/store.py",
    '" DELETE FROM rate_limit_configs WHERE id IN (SELECT id FROM gone)"',
    '" UPDATE rate_limit_configs SET enabled = false WHERE id IN (SELECT id FROM gone)"',
)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ((), ()),
        ((NO_LONGER_IN_FORCE,), ("1 deleted rules are still listed", "rate_limit_configs: 1 rows")),
        ((FORGETS_THE_RING,), ("rate_limit_ring: ",)),
    ],
)
def test_what_a_broken_delete_leaves_is_found(
    postgres: str, tmp_path: Path, changes: tuple[Change, ...], found: tuple[str, ...]
) -> None:
    """A delete that only disables the rule, or forgets its admissions, leaves rows; the right one leaves none."""
    program, migrations = patched.source(tmp_path, *changes)
    with (
        patched.migrated(postgres, "traces", migrations) as dsn,
        real(program, dsn, tmp_path / "server.log") as server,
    ):
        assert traces.prepare(server, (), rate_per_s=5000) is None
        with client(server) as http:
            assert {http.get(CONFIG).status_code for _ in range(3)} == {200}
            limits = {rule["limit_value"] for rule in http.get(CONFIG).json()["items"] if rule["scope"] == "api_key"}
            assert limits == {50_000}
        assert traces.remove(server, {RUN}) == []
        rows, by_api = traces.rows_left(server), traces.rows_left(replace(server, database_url=None))
    assert (rows.value > 0, rows.n > 10) == (bool(found), True), rows
    assert all(any(part in note for note in rows.notes) for part in found), rows
    assert (by_api.n, by_api.value) == (1, int(NO_LONGER_IN_FORCE in changes)), by_api
    assert by_api.notes[-1].startswith("not checked: the target's database cannot be observed")


def test_a_target_that_shows_nothing_has_no_samples() -> None:
    """Without lists and database, nothing was searched: this decides nothing."""
    rows = traces.rows_left(target("http://127.0.0.1:9"))
    assert (rows.n, len(rows.notes)) == (0, 2)
