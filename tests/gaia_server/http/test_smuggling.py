"""Requests whose end two parsers may see at different places: the hidden request must never be answered."""

from concurrent.futures import ThreadPoolExecutor

from tests.gaia_server.conftest import Running
from tests.gaia_server.http.test_bounded_protocol import HOST, talk

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
    """Chunks that cannot be read end the connection: the body does not arrive, and what follows is discarded."""
    with ThreadPoolExecutor(len(BODIES)) as clients:
        found = list(clients.map(lambda form: talk(own, HEAD + form + HIDDEN), BODIES.values()))
    ends = [[(answer.status, answer.headers["connection"]) for answer in answers] for answers in found]
    assert dict(zip(BODIES, ends, strict=True)) == {form: [(408, "close")] for form in BODIES}
    assert {line["level"] for line in own.lines()} <= {"info", "warning"}
