"""Tests of the mix: proportions, and validation of responses."""

import gzip
import itertools
import zlib
from collections import Counter

import pytest

from gaia_checks.contract import USER_AGENT
from gaia_checks.load.http.request_bytes import common_headers, merged
from gaia_checks.load.http.response_parser import HttpResponse
from gaia_checks.load.plan.request_mix import Expectations, Mix, Request, problem
from gaia_checks.model import Names

READ = Request("GET", "/usage?limit=20", keys=frozenset({"items", "total"}))
WRITE = Request("PUT", "/config/7", expected=frozenset({200, 204}), name="/config/{id}")


PLAIN = Request("GET", "/plain")
WORDS = Request("GET", "/plain", text="ready: größer")
ANY_JSON = Request("GET", "/any", json=True)
GONE = Request("DELETE", "/old", expected=frozenset({204, 404}))


def answer(status: int, body: bytes, *headers: bytes) -> HttpResponse:
    """Return a complete response."""
    return HttpResponse(status, b"\r\n".join((b"HTTP/1.1 %d X" % status, *headers, b"\r\n")), body, keep=True)


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
    assert problem(request_, answer(status, body)) is None


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
    assert problem(READ, answer(status, body)) == text


def test_several_good_statuses_are_all_named() -> None:
    """The message names the expected status."""
    assert problem(WRITE, answer(404, b"{}")) == "PUT /config/{id}: status 404 instead of 200 or 204"


def test_the_same_traffic_goes_out_in_a_servers_words() -> None:
    """Paths, parameters, bodies and expected keys use the server's names; statistics keep the contract's."""
    names = Names(paths={"/a": "/b"}, fields={"rule_name": "name", "limit": "size"})
    mix = Mix([Request("PUT", "/a/7?limit=5", body={"rule_name": "x"}, keys=frozenset({"rule_name", "id"}))])
    (request,) = mix.under(names).requests
    assert (request.path, request.body) == ("/b/7?size=5", {"name": "x"})
    assert request.keys == {"name", "id"}
    assert request.label == "/a/7"
    assert mix.under(Names()) is mix


@pytest.mark.parametrize(
    ("request_", "given"),
    [
        (PLAIN, answer(200, b"ready")),
        (PLAIN, answer(200, b"")),
        (PLAIN, answer(200, b"\x00", b"Content-Encoding: br")),
        (WORDS, answer(200, "we are ready: größer".encode())),
        (GONE, answer(204, b"")),
        (GONE, answer(404, b"no such thing")),
        (ANY_JSON, answer(200, b"{}")),
        (READ, answer(200, gzip.compress(b'{"items": [], "total": 0}'), b"Content-Encoding: GZIP")),
        (READ, answer(200, zlib.compress(b'{"items": [], "total": 0}'), b"content-encoding: deflate")),
        (WORDS, answer(200, gzip.compress("ready: größer".encode()), b"content-encoding: gzip")),
    ],
)
def test_only_what_the_mix_requires_is_checked(request_: Request, given: HttpResponse) -> None:
    """Plain text, no body, an expected status, a compressed body: none of them is a failure by itself."""
    assert Expectations([request_]).problem(0, given) is None


@pytest.mark.parametrize(
    ("request_", "given", "text"),
    [
        (WORDS, answer(200, b"not yet"), "GET /plain: the body does not contain 'ready: größer'"),
        (ANY_JSON, answer(200, b"[]"), "GET /any: the body is not a JSON object"),
        (ANY_JSON, answer(200, b"ready"), "GET /any: the body is not JSON"),
        (ANY_JSON, answer(200, b"{}", b"content-encoding: br"),
         "GET /any: the body is encoded as br, which was not offered"),
        (ANY_JSON, answer(200, b"{}", b"content-encoding: gzip"),
         "GET /any: the body is not gzip (Error -3 while decompressing data: incorrect header check)"),
        (ANY_JSON, answer(200, gzip.compress(b"{}")[:-9], b"content-encoding: gzip"),
         "GET /any: the body is not gzip (it ends too early)"),
        (ANY_JSON, answer(200, gzip.compress(bytes(33_000_000)), b"content-encoding: gzip"),
         "GET /any: the body is longer than 32 MB without gzip"),
    ],
)  # fmt: skip
def test_what_the_mix_requires_is_checked(request_: Request, given: HttpResponse, text: str) -> None:
    """The message says what the body lacks."""
    assert Expectations([request_]).problem(0, given) == text


def test_no_compression_is_offered_unless_the_mix_does() -> None:
    """What a request says replaces a common header, in any case; the mix survives its way to another process."""
    common = common_headers("http://127.0.0.1:8711", {})
    assert common["Accept-Encoding"] == "identity"
    own = merged(common, {"accept-encoding": "gzip"})
    assert {name.lower(): value for name, value in own.items()} == {
        "host": "127.0.0.1:8711",
        "user-agent": USER_AGENT,
        "accept": "application/json, */*;q=0.5",
        "accept-encoding": "gzip",
    }
    mix = Mix([PLAIN, WORDS, ANY_JSON, GONE])
    assert Mix.from_json(mix.to_json()) == mix
