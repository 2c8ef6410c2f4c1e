"""Records a page's requests, failed answers and script errors."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request, Response

_BROWSER_NETWORK_ERRORS = ("Failed to load resource", "WebSocket connection to")
"""The starts of console errors that repeat the failure of a request or connection."""

_WITHOUT_HOST = ("data", "blob", "about")


@dataclass
class PageEvents:
    """The events of one page since `watch`. `wrong` lists the faults, one sentence each."""

    base_url: str
    secret: str | None = None  # the admin token
    requests: int = 0
    wrong: list[str] = field(default_factory=list)
    signed_out: bool = True  # until the sign-in a page may reload, and 401 is the answer that requires the token
    cut: bool = False  # the proxy drops all connections
    pending: int = 0  # requests without an answer yet
    last_activity_s: float = 0.0  # when a request last started or finished

    def watch(self, page: Page) -> None:
        """Start to record the page's events."""
        page.on("domcontentloaded", lambda _: self._loaded())
        page.on("request", self._request_started)
        page.on("websocket", lambda websocket: self._requested(websocket.url))
        page.on("response", self._responded)
        page.on("requestfinished", lambda _: self._request_finished())
        page.on("requestfailed", self._request_failed)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(f"script error: {error.message}"))

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Accept failed requests within the context."""
        self.cut = True
        try:
            yield
        finally:
            self.cut = False

    def quiet(self, for_s: float) -> bool:
        """Whether the page has sent nothing for `for_s` seconds, and no request is pending."""
        return self.pending <= 0 and time.monotonic() - self.last_activity_s >= for_s

    def shows_secret(self, text: str) -> bool:
        """Whether the page shows the admin token; record that as a fault."""
        shown = self.secret is not None and self.secret in text
        if shown:
            self.wrong.append("the admin token can be read on the page")
        return shown

    def _loaded(self) -> None:
        if not self.signed_out:
            self.wrong.append("the page reloaded")

    def _request_started(self, request: Request) -> None:
        self.pending += 1
        self.last_activity_s = time.monotonic()
        self._requested(request.url)

    def _request_finished(self) -> None:
        self.pending -= 1
        self.last_activity_s = time.monotonic()

    def _requested(self, url: str) -> None:
        self.requests += 1
        to = urlsplit(url)
        if to.scheme not in _WITHOUT_HOST and to.netloc != urlsplit(self.base_url).netloc:
            self.wrong.append(f"sends a request to another host: {to.scheme}://{to.netloc}")
        if self.secret and self.secret in url:
            self.wrong.append(f"the admin token is in the address of a request: {to.path}")

    def _responded(self, response: Response) -> None:
        if response.status >= 400 and not (response.status == 401 and self.signed_out):
            self.wrong.append(f"{_named(response.request)} answered {response.status}")

    def _request_failed(self, request: Request) -> None:
        self._request_finished()
        if not self.cut:
            self.wrong.append(f"{_named(request)} got no answer: {request.failure}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_BROWSER_NETWORK_ERRORS):
            self.wrong.append(f"console: {message.text}")


def _named(request: Request) -> str:
    return f"{request.method} {urlsplit(request.url).path}"
