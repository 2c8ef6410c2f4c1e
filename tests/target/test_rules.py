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
    assert rules.later_s(httpx.Response(429, headers={"Retry-After": header} if header else {})) == seconds


def test_a_refusal_is_waited_out() -> None:
    """A 429 is retried after its Retry-After."""
    requests = []

    def refuse_twice(_: Request) -> Response:
        requests.append(1)
        return Response(status_code=429 if len(requests) <= 2 else 204, headers={"Retry-After": "0.1"})

    with serving(Route(CONFIG, refuse_twice, methods=["DELETE"])) as url, client(target(url)) as http:
        assert rules.patiently(http, "DELETE", CONFIG).status_code == 204
    assert len(requests) == 3


def test_a_refusal_that_lasts_is_the_answer() -> None:
    """A Retry-After beyond the limit returns the refusal at once."""
    later = Route(CONFIG, lambda _: Response(status_code=429, headers={"Retry-After": "3600"}))
    with serving(later) as url, client(target(url)) as http:
        assert rules.patiently(http, "GET", CONFIG).status_code == 429
