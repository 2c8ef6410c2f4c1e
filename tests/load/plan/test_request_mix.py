"""Tests of the mix: proportions, and validation of responses."""

import itertools
from collections import Counter

import pytest

from gaia_checks.load.plan.request_mix import Mix, Request, problem
from gaia_checks.model import Names

READ = Request("GET", "/usage?limit=20", keys=frozenset({"items", "total"}))
WRITE = Request("PUT", "/config/7", expected=frozenset({200, 204}), name="/config/{id}")


def test_kinds_come_in_proportion_to_their_weights() -> None:
    """Over a thousand arrivals each kind has its share to within one percent."""
    mix = Mix([Request("GET", "/a", 70), Request("GET", "/b", 29), Request("GET", "/c", 1)])
    observed = Counter(mix.choose(index).path for index in range(1000))
    assert [observed[path] for path in ("/a", "/b", "/c")] == pytest.approx([700, 290, 10], abs=3)


def test_a_rare_kind_is_spread_over_time() -> None:
    """A kind of weight one percent is evenly spread."""
    mix = Mix([Request("GET", "/often", 99), Request("GET", "/rare", 1)])
    at = [index for index in range(2000) if mix.choose(index).path == "/rare"]
    assert max(b - a for a, b in itertools.pairwise(at)) < 250


def test_the_choice_depends_on_the_index_alone() -> None:
    """A repeated run sends the same requests in the same order."""
    mix = Mix([READ, WRITE])
    assert [mix.choose(index) for index in range(50)] == [mix.choose(index) for index in range(50)]


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [(READ, 200, b'{"items": [], "total": 0, "more": 1}'), (WRITE, 204, b"{}"), (WRITE, 200, b'{"id": 7}')],
)
def test_a_good_answer_has_the_status_and_the_keys(request_: Request, status: int, body: bytes) -> None:
    """Additional keys are accepted."""
    assert problem(request_, status, body) is None


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (500, b"{}", "GET /usage: status 500 instead of 200"),
        (200, b"", "GET /usage: the body is not JSON"),
        (200, b"<html>", "GET /usage: the body is not JSON"),
        (200, b"\xff\xfe", "GET /usage: the body is not JSON"),
        (200, b"[" * 100_000, "GET /usage: the body is not JSON"),
        (200, b"[]", "GET /usage: the body is not a JSON object"),
        (200, b'{"items": []}', "GET /usage: the body has no total"),
    ],
)
def test_a_bad_answer_is_described(status: int, body: bytes, text: str) -> None:
    """A 200 with an invalid body counts as a failure."""
    assert problem(READ, status, body) == text


def test_several_good_statuses_are_all_named() -> None:
    """The message names the expected status."""
    assert problem(WRITE, 404, b"{}") == "PUT /config/{id}: status 404 instead of 200 or 204"


def test_the_same_traffic_goes_out_in_a_servers_words() -> None:
    """Paths, parameters, bodies and expected keys use the server's names; statistics keep the contract's."""
    names = Names(paths={"/a": "/b"}, fields={"rule_name": "name", "limit": "size"})
    mix = Mix([Request("PUT", "/a/7?limit=5", body={"rule_name": "x"}, keys=frozenset({"rule_name", "id"}))])
    (request,) = mix.under(names).requests
    assert (request.path, request.body) == ("/b/7?size=5", {"name": "x"})
    assert request.keys == {"name", "id"}
    assert request.label == "/a/7"
    assert mix.under(Names()) is mix
