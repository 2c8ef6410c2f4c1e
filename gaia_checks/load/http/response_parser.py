"""Parses HTTP/1.1 responses, one at a time, without any I/O.

Nearly every response arrives in one piece and has a Content-Length: the fast path here reads it with little more than
one search. httptools parses everything else (several pieces, chunked encoding, interim responses, a body that ends with
the connection, two lengths).
"""

import re
from typing import NamedTuple

import httptools

_STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])[ \r]")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*\r\n")
_NOT_PLAIN = (b"\r\ntransfer-encoding:", b"\r\nconnection:", b"\0")
_BODILESS = frozenset({204, 304})

LARGEST_MB = 32
"""A response beyond it is a fault of the server: one that never ends would fill this machine's memory."""


class NotHttp(ValueError):
    """The data is not an HTTP/1.1 response."""


class HttpResponse(NamedTuple):
    """A complete response."""

    status: int
    head: bytes  # status line and headers, or only the headers
    body: bytes
    keep: bool  # whether the connection may be reused

    def header(self, name: str) -> str | None:
        """Return the first value of a header."""
        found = re.search(rb"(?:^|\r\n)%b:[ \t]*([^\r]*)" % name.encode(), self.head, re.IGNORECASE)
        return found[1].decode("latin-1").strip() if found else None


class Head(NamedTuple):
    """The head of a plain response."""

    data: bytes = b"\0"
    whole: int = 0  # bytes of head and body
    status: int = 0

    def answer(self, data: bytes) -> HttpResponse:
        """Return the response that has this head."""
        return HttpResponse(self.status, self.data, data[len(self.data) :], keep=True)


class Plain:
    """Reads plain responses of one server; caches the last head, because the next one is often the same."""

    def __init__(self) -> None:
        self._known = Head()

    def read(self, method: str, data: bytes) -> HttpResponse | None:
        """Return the response if `data` is exactly one plain response, else None."""
        known = self._known
        if len(data) == known.whole and data.startswith(known.data):
            return known.answer(data)
        if method == "HEAD" or (found := _head(data)) is None:
            return None
        self._known = found
        return found.answer(data)


def _head(data: bytes) -> Head | None:
    end, status = data.find(b"\r\n\r\n") + 4, _STATUS.match(data)
    if end < 4 or status is None or int(status[1]) in _BODILESS:
        return None
    lower = data[:end].lower()
    lengths = _LENGTH.findall(lower)
    if lower.count(b"\r\ncontent-length") != 1 or len(lengths) != 1 or any(name in lower for name in _NOT_PLAIN):
        return None
    whole = end + int(lengths[0])
    return Head(data[:end], whole, int(status[1])) if len(data) == whole else None


class Parser:
    """Reads one response with httptools, whatever its framing."""

    def __init__(self, method: str) -> None:
        """`method` is that of the request: the response to HEAD has no body."""
        self._method = method
        self._parser = httptools.HttpResponseParser(self)
        self._head: list[bytes] = []
        self._body: list[bytes] = []
        self._sized = self._final = self._complete = self._more = self._lasting = False
        self._left = LARGEST_MB * 1_000_000

    def feed(self, data: bytes) -> HttpResponse | None:
        """Add received data; return the response once it is complete. Raises NotHttp."""
        self._left -= len(data)
        if self._left < 0:
            raise NotHttp(f"it is longer than {LARGEST_MB} MB")
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._complete:
                raise NotHttp(str(error)) from error
            self._more = True
        return self._answer(keep=self._reusable()) if self._complete else None

    def end(self) -> HttpResponse | None:
        """Handle the end of the connection; it completes a body without a length."""
        return self._answer(keep=False) if self._final and not self._sized else None

    def _reusable(self) -> bool:
        return not self._more and self._method != "HEAD" and self._lasting

    def _answer(self, *, keep: bool) -> HttpResponse:
        return HttpResponse(self._parser.get_status_code(), b"\r\n".join(self._head), b"".join(self._body), keep)

    # httptools callbacks

    def on_message_begin(self) -> None:
        """Record the start of a response; one after a complete response is unsolicited."""
        self._more = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        if not self._complete:
            self._head.append(name + b": " + value)
            self._sized |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        """Finish a response to HEAD; discard the headers of an interim response."""
        status = self._parser.get_status_code()
        if status < 200:
            self._head.clear()
            self._sized = False
        else:
            self._final = True
            self._lasting = bool(self._parser.should_keep_alive())  # httptools resets this at the end of the response
            self._complete |= self._method == "HEAD"

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if not self._complete:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """Finish the response, unless it is an interim one (1xx)."""
        self._complete |= self._final
