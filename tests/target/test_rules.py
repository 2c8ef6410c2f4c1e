"""Temporary rules of a run in the target."""

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gaia_checks.target import rules
from gaia_checks.target.client import client
from gaia_checks.target.responses import CONFIG
from tests.probes.servers import serving, target

LISTED = [{"id": 1, "rule_name": "theirs"}, {"id": 7, "rule_name": "gaia-run-x"}]


def test_a_server_that_ignores_the_filter_loses_no_rule_of_others() -> None:
    """Only rules with the requested name are returned, even if the server ignores the filter."""
    with serving(Route(CONFIG, lambda _: JSONResponse({"items": LISTED}))) as url, client(target(url)) as http:
        assert rules.named(http, "gaia-run-x") == [7]
        assert rules.named(http, "gaia-run-y") == []


@pytest.mark.parametrize("body", ["[]", "{}", '{"items": 3}', "no JSON"])
def test_an_answer_that_is_no_list_raises(body: str) -> None:
    """An answer that is no list raises, so nothing is removed."""
    with (
        serving(Route(CONFIG, lambda _: Response(body))) as url,
        client(target(url)) as http,
        pytest.raises(ValueError, match="no list of rules"),
    ):
        rules.named(http, "gaia-run-x")


@pytest.mark.parametrize(("header", "seconds"), [("3", 3.0), ("0", 0.1), ("soon", 1.0), (None, 1.0)])
def test_how_long_to_wait_is_read_from_a_refusal(header: str | None, seconds: float) -> None:
    """An unreadable Retry-After means one second, and the wait is never zero."""
    refusal = httpx.Response(429, headers={"Retry-After": header} if header else {})
    assert rules.Patience().wait_s(429, refusal) == seconds


def test_a_refusal_is_waited_out() -> None:
    """A 429 is retried after its Retry-After."""
    requests = []

    def refuse_twice(_: Request) -> Response:
        requests.append(1)
        return Response(status_code=429 if len(requests) <= 2 else 204, headers={"Retry-After": "0.1"})

    with serving(Route(CONFIG, refuse_twice, methods=["DELETE"])) as url, client(target(url)) as http:
        assert rules.send(http, "DELETE", CONFIG).status_code == 204
    assert len(requests) == 3


def test_a_refusal_that_lasts_is_the_answer() -> None:
    """A Retry-After beyond the limit returns the refusal at once."""
    later = Route(CONFIG, lambda _: Response(status_code=429, headers={"Retry-After": "3600"}))
    with serving(later) as url, client(target(url)) as http:
        assert rules.send(http, "GET", CONFIG).status_code == 429


def test_patience_is_a_budget_of_several_requests() -> None:
    """Each refusal uses it up; other answers cost nothing."""
    patience, refusal = rules.Patience(5.0), httpx.Response(429, headers={"Retry-After": "2"})
    waits = [patience.wait_s(status, refusal) for status in (429, 200, 429, 429)]
    assert waits == [2.0, None, 2.0, None]


def test_a_temporary_rule_is_removed_also_after_an_error() -> None:
    """The rule of that name is deleted, whatever the block raises."""
    deleted: list[str] = []

    def delete(request: Request) -> Response:
        deleted.append(request.path_params["id"])
        return Response(status_code=204)

    routes = (
        Route(CONFIG, lambda _: JSONResponse({"id": 7}, status_code=201), methods=["POST"]),
        Route(CONFIG, lambda _: JSONResponse({"items": LISTED})),
        Route(CONFIG + "/{id}", delete, methods=["DELETE"]),
    )

    def fail(http: httpx.Client) -> None:
        with rules.temporary(http, rules.for_one_key("gaia-run-x", "requests_per_minute", 1)) as created:
            assert created.status_code == 201
            raise ValueError("broken")

    with serving(*routes) as url, client(target(url)) as http, pytest.raises(ValueError, match="broken"):
        fail(http)
    assert deleted == ["7"]
