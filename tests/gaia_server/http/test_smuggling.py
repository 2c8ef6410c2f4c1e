"""Requests whose end two parsers may see at different places: the hidden request must never be answered."""

import time

from gaia_server.http import request_parsing
from tests.gaia_server.conftest import Running
from tests.gaia_server.http.test_bounded_protocol import BEARER, HOST, talk

HEAD = b"POST /admin/login HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST
HIDDEN = b"GET /livez HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n"

FORMS = {
    "both framings, length first": LENGTH % 5 + CHUNKED + b"\r\n" + END,
    "both framings, chunked first": CHUNKED + LENGTH % 5 + b"\r\n" + END,
    "two lengths": LENGTH % 0 + LENGTH % 5 + b"\r\n",
    "a list of lengths": b"Content-Length: 0, 5\r\n\r\n",
    "a signed length": b"Content-Length: +0\r\n\r\n",
    "a negative length": b"Content-Length: -1\r\n\r\n",
    "a hexadecimal length": b"Content-Length: 0x0\r\n\r\n",
    "a length with an underscore": b"Content-Length: 0_0\r\n\r\n",
    "a length beyond 64 bits": b"Content-Length: 18446744073709551616\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n" + END,
    "a coding that is not read": b"Transfer-Encoding: gzip, chunked\r\n\r\n" + END,
    "chunked is not the last coding": b"Transfer-Encoding: chunked, identity\r\n\r\n" + END,
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n" + END,
    "a folded coding": b"Transfer-Encoding:\r\n chunked, x\r\n\r\n" + END,
    "a vertical tab before the coding": b"Transfer-Encoding: \x0bchunked\r\n\r\n" + END,
    "a bare carriage return in the head": b"X-A: 1\rTransfer-Encoding: chunked\r\n\r\n" + END,
    "a NUL in a value": b"X-A: a\x00b\r\n\r\n",
    "a line without a colon": b"X-A\r\n\r\n",
}

BODIES = {
    "a bare line feed in a chunk": CHUNKED + b"\r\n0\n\n",
    "a chunk size with a prefix": CHUNKED + b"\r\n0x0\r\n\r\n",
    "a chunk size beyond 64 bits": CHUNKED + b"\r\n10000000000000000\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"\r\n1\r\naa\r\n" + END,
    "a negative chunk size": CHUNKED + b"\r\n-1\r\n\r\n",
    "a signed chunk size": CHUNKED + b"\r\n+1\r\na\r\n" + END,
    "a chunk size that is no number": CHUNKED + b"\r\nzz\r\n\r\n",
    "no chunk size": CHUNKED + b"\r\n\r\n" + END,
    "an extension without a chunk size": CHUNKED + b"\r\n;a=b\r\n\r\n",
    "a space before a chunk size": CHUNKED + b"\r\n 1\r\na\r\n" + END,
    "a chunk size beyond any number": CHUNKED + b"\r\n" + b"f" * 5000 + b"\r\n",
    "no line end after the data": CHUNKED + b"\r\n5\r\nhello5\r\nworld\r\n" + END,
    "a bare line feed after the data": CHUNKED + b"\r\n5\r\nhello\n" + END,
    "a bare carriage return after the data": CHUNKED + b"\r\n5\r\nhello\r" + END,
    "a broken second chunk": CHUNKED + b"\r\n5\r\nhello\r\n-5\r\nworld\r\n" + END,
    "a broken chunk before much data": CHUNKED + b"\r\nzz\r\n" + b" " * 2_000_000,
}


def test_a_request_of_unclear_length_hides_no_other(own: Running) -> None:
    """The connection ends with one refusal, in one piece or byte by byte."""
    for name, form in FORMS.items():
        whole = HEAD + form + HIDDEN
        for parts in ([whole], [whole[n : n + 1] for n in range(len(whole))]):
            found = [(answer.status, answer.headers["connection"]) for answer in talk(own, *parts)]
            assert found == [(400, "close")], name
    assert {line["level"] for line in own.lines()} <= {"info", "warning"}


def test_a_body_of_unclear_length_hides_no_request(own: Running) -> None:
    """Chunks that cannot be read are refused at once, in one piece or byte by byte, and what follows is discarded."""
    for name, form in BODIES.items():
        whole = HEAD + form + HIDDEN
        start = len(HEAD + CHUNKED)
        pieces = [whole[:start], *(whole[n : n + 1] for n in range(start, min(len(whole), start + 1000)))]
        for parts in ([whole], pieces):
            started = time.monotonic()
            found = [(answer.status, answer.headers["connection"]) for answer in talk(own, *parts)]
            assert found == [(400, "close")], name
            assert time.monotonic() - started < request_parsing.BODY_S / 2, name
    assert {line["level"] for line in own.lines()} <= {"info", "warning"}


def test_a_broken_body_waits_for_the_requests_before_it(own: Running) -> None:
    """Pipelined before it, they are answered; it is refused when it has its turn."""
    good = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
    started = time.monotonic()
    answers = talk(own, good * 2 + HEAD + BODIES["a negative chunk size"] + HIDDEN)
    assert [answer.status for answer in answers] == [200, 200, 400]
    assert answers[-1].body["detail"] == "the chunks of the body cannot be read"
    assert time.monotonic() - started < request_parsing.BODY_S / 2


def test_a_chunked_body_arrives_however_it_is_split(own: Running) -> None:
    """Chunks of one byte, an extension, a long size, a trailer: split at every byte, always the same body."""
    key = f"X-API-Key: {own.unlimited()}\r\n".encode()
    head = b"POST /api/admin/quotas/config HTTP/1.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    body = b'{\r\n1\r\n"\r\n5;a=b\r\nscope\r\n0000000006\r\n": "x"\r\nA\r\n}         \r\n0\r\nX-A: b\r\n\r\n'
    whole = head + BEARER + key + HOST + CHUNKED + b"\r\n1\r\n" + body
    start = len(whole) - len(body) - len(b"1\r\n")
    splits = [[whole[:n], whole[n:]] for n in range(start, len(whole))]
    splits += [[whole[:start], *(whole[n : n + 1] for n in range(start, len(whole)))]]
    (expected,) = talk(own, whole)
    assert "scope" in {error["field"] for error in expected.body["errors"]}
    for parts in splits:
        (answer,) = talk(own, *parts)
        assert (answer.status, answer.body["errors"]) == (422, expected.body["errors"]), parts
