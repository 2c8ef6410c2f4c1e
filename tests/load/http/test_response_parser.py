"""Tests of the response parser: the fast path agrees with httptools, and non-HTTP data is reported."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaia_checks.load.http import response_parser
from gaia_checks.load.http.response_parser import HttpResponse, NotHttp, Parser, Plain

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"


def parse(*pieces: bytes, method: str = "GET") -> HttpResponse | None:
    """Feed httptools piece by piece; return the response to the last piece."""
    parser, answer = Parser(method), None
    for piece in pieces:
        assert answer is None
        answer = parser.feed(piece)
    return answer


@pytest.mark.parametrize("name", [b"Content-Length", b"content-length", b"CONTENT-LENGTH"])
@pytest.mark.parametrize("space", [b"", b" ", b"\t "])
def test_a_whole_answer_is_read_at_once(name: bytes, space: bytes) -> None:
    """The fast path accepts header names in any case, and any space after the colon."""
    data = b"HTTP/1.1 404 Not Found\r\n" + name + b":" + space + b"3\r\n\r\nabc"
    head = data.removesuffix(b"abc")
    assert Plain().read("GET", data) == HttpResponse(404, head, b"abc", keep=True)


@pytest.mark.parametrize(
    "data",
    [
        PLAIN[:-1], PLAIN + b"x", PLAIN[:30], CHUNKED, b"", b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN,
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    ],
)  # fmt: skip
def test_other_responses_are_left_to_the_parser(data: bytes) -> None:
    """The fast path leaves partial, several, chunked and interim responses, no or two lengths, and non-HTTP/1.1."""
    assert Plain().read("GET", data) is None


def test_a_head_that_is_known_tells_no_other_answer() -> None:
    """The same head may have another body; another length or status, or a response to HEAD, is parsed again."""
    plain, other = Plain(), PLAIN.replace(b"2\r\n\r\n{}", b"3\r\n\r\n[ ]")
    found = [plain.read("GET", data) for data in (PLAIN, PLAIN.replace(b"{}", b"[]"), PLAIN + b"x", other, PLAIN)]
    assert [answer and answer.body for answer in found] == [b"{}", b"[]", None, b"[ ]", b"{}"]
    assert plain.read("HEAD", PLAIN.removesuffix(b"{}")) is None


@settings(deadline=None)
@given(st.integers(200, 599).filter(lambda status: status not in (204, 304)), st.binary(max_size=60))
def test_both_ways_read_the_same(status: int, body: bytes) -> None:
    """Httptools reads every response of the fast path in the same way."""
    data = b"HTTP/1.1 %d X\r\nServer: s\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
    found, answer = Plain().read("GET", data), parse(data)
    assert found is not None
    assert answer is not None
    assert (found.status, found.body, found.keep) == (answer.status, answer.body, answer.keep) == (status, body, True)


@pytest.mark.parametrize(
    ("data", "body", "keep"),
    [
        (PLAIN, b"{}", True),
        (CHUNKED, b"{}", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN, b"{}", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + PLAIN, b"{}", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", b"x", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x", False),
        (PLAIN + PLAIN, b"{}", False),
        (PLAIN + b"rubbish", b"{}", False),
    ],
)
def test_every_framing_is_understood_in_any_pieces(data: bytes, body: bytes, keep: bool) -> None:
    """A response may arrive whole or in two pieces; with data after it the connection is not reused."""
    answer = parse(data)
    assert answer is not None
    assert (answer.body, answer.keep) == (body, keep)
    end = len(data) if keep else len(PLAIN) if data.startswith(PLAIN) else len(data)
    for cut in range(1, end - 1):
        pieces = parse(data[:cut], data[cut:end])
        assert pieces is not None
        assert (pieces.status, pieces.body) == (answer.status, body)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    """The end of the connection completes a body, only if it has no length."""
    parser = Parser("GET")
    assert parser.feed(b"HTTP/1.1 200 OK\r\n\r\n{") is None
    assert parser.feed(b"}") is None
    assert parser.end() == HttpResponse(200, b"", b"{}", keep=False)
    cut_off = Parser("GET")
    assert cut_off.feed(PLAIN[:-1]) is None
    assert cut_off.end() is None
    assert Parser("GET").end() is None


def test_the_answer_to_head_has_no_body() -> None:
    """The Content-Length of a response to HEAD describes the body of GET."""
    answer = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", method="HEAD")
    assert answer == HttpResponse(200, b"Content-Length: 9", b"", keep=False)


@pytest.mark.parametrize("data", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
def test_data_that_is_not_http_is_reported(data: bytes) -> None:
    """The error message contains the parser's own reason."""
    with pytest.raises(NotHttp, match=r"\w"):
        parse(data)


@pytest.mark.parametrize(
    ("start", "piece"), [(b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 995 + b"\r\n"), (CHUNKED[:47], b"1\r\nx\r\n")]
)
def test_what_never_ends_is_reported(start: bytes, piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers or a body without an end do not fill the memory."""
    monkeypatch.setattr(response_parser, "LARGEST_MB", 1)
    parser, most = Parser("GET"), piece * (999_000 // len(piece))
    assert parser.feed(start + most) is None
    with pytest.raises(NotHttp, match="it is longer than 1 MB"):
        parser.feed(piece * 2000)


def test_a_header_is_found_in_any_case_and_both_forms_of_a_head() -> None:
    """A header is found only at the beginning of a line."""
    head = b"HTTP/1.1 429 X\r\nX-RateLimit: 9\r\nRateLimit:  a;r=0 \r\n\r\n"
    assert HttpResponse(429, head, b"", keep=True).header("ratelimit") == "a;r=0"
    assert HttpResponse(429, b"RateLimit: b", b"", keep=True).header("ratelimit") == "b"
    assert HttpResponse(429, b"X-RateLimit: b", b"", keep=True).header("ratelimit") is None
