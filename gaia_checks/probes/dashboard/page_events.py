"""What a page does besides being looked at: whom it asks, what is refused to it, what goes wrong in it."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request, Response

_NOTED_BY_THE_BROWSER = ("Failed to load resource", "WebSocket connection to")
"""How a console error begins that says again what became of a request or connection."""

_WITHOUT_HOST = ("data", "blob", "about")


@dataclass
class Behaviour:
    """Of one page, from when it is watched. `wrong` tells in sentences what no page should do."""

    base_url: str
    secret: str | None = None  # the admin token
    asked: int = 0
    wrong: list[str] = field(default_factory=list)
    signed_out: bool = True  # until then a page may load again, and 401 tells it that it must ask for the token
    cut: bool = False  # then nothing can be reached
    open: int = 0  # requests that have no answer yet
    moved_s: float = 0.0  # when a request began or ended last

    def watch(self, page: Page) -> None:
        """Begin to listen."""
        page.on("domcontentloaded", lambda _: self._loaded())
        page.on("request", self._began)
        page.on("websocket", lambda websocket: self._asked(websocket.url))
        page.on("response", self._answered)
        page.on("requestfinished", lambda _: self._ended())
        page.on("requestfailed", self._unanswered)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(f"script error: {error.message}"))

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Let requests fail meanwhile."""
        self.cut = True
        try:
            yield
        finally:
            self.cut = False

    def quiet(self, for_s: float) -> bool:
        """Whether the page has asked nothing for so long, and waits for nothing."""
        return self.open <= 0 and time.monotonic() - self.moved_s >= for_s

    def shows_secret(self, text: str) -> bool:
        """Whether the page shows the admin token to whoever looks; that is wrong as well."""
        shown = self.secret is not None and self.secret in text
        if shown:
            self.wrong.append("the admin token can be read on the page")
        return shown

    def _loaded(self) -> None:
        if not self.signed_out:
            self.wrong.append("it loaded itself anew")

    def _began(self, request: Request) -> None:
        self.open += 1
        self.moved_s = time.monotonic()
        self._asked(request.url)

    def _ended(self) -> None:
        self.open -= 1
        self.moved_s = time.monotonic()

    def _asked(self, url: str) -> None:
        self.asked += 1
        to = urlsplit(url)
        if to.scheme not in _WITHOUT_HOST and to.netloc != urlsplit(self.base_url).netloc:
            self.wrong.append(f"asks another host: {to.scheme}://{to.netloc}")
        if self.secret and self.secret in url:
            self.wrong.append(f"the admin token is in the address of a request: {to.path}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and not (response.status == 401 and self.signed_out):
            self.wrong.append(f"{_named(response.request)} answered {response.status}")

    def _unanswered(self, request: Request) -> None:
        self._ended()
        if not self.cut:
            self.wrong.append(f"{_named(request)} got no answer: {request.failure}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_NOTED_BY_THE_BROWSER):
            self.wrong.append(f"console: {message.text}")


def _named(request: Request) -> str:
    return f"{request.method} {urlsplit(request.url).path}"
