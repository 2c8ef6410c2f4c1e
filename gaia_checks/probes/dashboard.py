"""Whether the dashboard can be used: in a real browser, signed in as a person, on the live server.

The browser reaches the server by a line that is cut to see whether the page comes back; the server itself is not
touched. What is made in it is one rule of this run: what is refused because of it shows on the page, and goes with it.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Error

from gaia_checks.environment import REDACTED
from gaia_checks.errors import Inconclusive, TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.probes import browser, certificate, cut, health
from gaia_checks.probes.behaviour import Behaviour
from gaia_checks.probes.client import client, key
from gaia_checks.probes.ownrule import OwnRule, own_rule
from gaia_checks.probes.page import TABS, Page, Wrong
from gaia_checks.probes.tally import Tally, Watch

_BEYOND_S = 0.5  # we wait this much longer than allowed, so that what never came is surely too late
_NOTICED_WITHIN_S = 5.0  # a browser knows at once that a connection was cut
_MESSAGE_WITHIN_S = 6.0  # stats come every 5 s

_HOW = {
    "tabs_working": "each tab by mouse and by keyboard, with what must be in it",
    "live_update_seen": "a refusal appeared in Violations without a reload",
    "reconnected": "its connection cut, the page said so, came back by itself and got messages",
    "reconnect": "from when it could connect again until it was connected",
    "rule_edited": "a rule made by the form, seen in the table, removed by its button",
    "errors": "script errors, requests that failed, other hosts asked, the admin token shown",
}


def probe(
    target: Target,
    *,
    ready_within_s: float,
    live_within_s: float,
    reconnect_within_s: float,
    pictures: Path | None = None,
) -> list[Measurement]:
    """Use all six tabs, see a refusal appear, cut the connection and see it come back; save pictures of it.

    Raises Inconclusive, TargetUnreachable or MissingDependency when that cannot be looked at.
    """
    try:
        with client(target) as http, own_rule(target, http, "dashboard") as rule:
            version = _version(target, http)
            with _opened(target, ready_within_s) as (page, behaviour, line):
                look = _Look(Watch(), target, page, behaviour, line, rule, version, pictures)
                return list(look.all(live_within_s, reconnect_within_s))
    except Error as error:
        raise Inconclusive(f"the browser cannot look: {browser.first_line(error)}") from None
    except httpx.HTTPError as error:
        raise TargetUnreachable(f"{target.base_url}: {error or type(error).__name__}; is it running?") from error


def _version(target: Target, http: httpx.Client) -> str:
    """Return what the server says it is. Raises Inconclusive when it is not well."""
    answer = http.get(health.PATH)
    if answer.status_code != 200:
        raise Inconclusive(
            f"{target.base_url}: GET {health.PATH} answered {answer.status_code}; "
            "what its dashboard shows meanwhile decides nothing"
        )
    return str(health.read(answer).get("version", ""))


@contextlib.contextmanager
def _opened(target: Target, ready_within_s: float) -> Iterator[tuple[Page, Behaviour, cut.Line]]:
    """Have an empty page of a browser that reaches the target alone, by a line that can be cut."""
    url = urlsplit(target.base_url)
    secure = url.scheme == "https"
    host, port = url.hostname or "", url.port or (443 if secure else 80)
    trust = browser.believing(certificate.verified_key(host, port)) if secure else ()
    with (
        cut.line(host, port) as line,
        browser.launched(*browser.reaching(host, port, line.port), *trust) as chromium,
    ):
        opened = chromium.new_page(
            viewport={"width": 1280, "height": 800},
            extra_http_headers={"X-API-Key": key(target)},
            reduced_motion="reduce",
        )
        behaviour = Behaviour(target.base_url, target.admin_token)
        behaviour.watch(opened)
        yield Page(opened, ready_within_s), behaviour, line


@dataclass(frozen=True)
class _Look:
    """One look at the page, step by step."""

    watch: Watch
    target: Target
    page: Page
    behaviour: Behaviour
    line: cut.Line
    rule: OwnRule
    version: str  # of the server
    pictures: Path | None

    def all(self, live_within_s: float, reconnect_within_s: float) -> Iterator[Measurement]:
        """Do what a person does with the page, from signing in to removing what was made."""
        never_s = reconnect_within_s + _BEYOND_S
        if shut := _wrong(self._come_in):
            yield from self._nothing_works(shut, never_s)
            return
        made = _wrong(self.page.create_rule, self.rule.name)
        self.rule.make()
        unrefused = self.rule.be_refused()
        yield self._tabs(refused=unrefused is None)
        yield self._live(live_within_s)
        yield from self._reconnect(never_s)
        removed = _wrong(self._remove_rule)
        yield self._held("rule_edited", made or removed)
        yield self._errors()

    # Coming in ------------------------------------------------------------------------------------

    def _come_in(self) -> None:
        self.page.open(self.target.base_url)
        self.page.sign_in(self.target.admin_token)
        self.behaviour.signed_out = False

    def _nothing_works(self, shut: str, never_s: float) -> Iterator[Measurement]:
        """Tell of a page that nobody can enter."""
        yield self._tabs_working(dict.fromkeys(TABS, shut))
        for name in ("live_update_seen", "reconnected", "rule_edited"):
            yield self._held(name, shut)
        yield self._took(never_s)
        yield self._errors()

    # Tabs -----------------------------------------------------------------------------------------

    def _tabs(self, *, refused: bool) -> Measurement:
        """Use each tab by mouse, then go through all by keyboard."""
        wrong = {}
        for number, tab in enumerate(TABS, start=1):
            wrong[tab] = _wrong(self._use, tab, refused)
            self._picture(f"{number}-{tab}")
        return self._tabs_working({tab: wrong[tab] or _wrong(self.page.walk, tab) for tab in TABS})

    def _use(self, tab: str, refused: bool) -> None:
        """Open a tab and find in it what must be there: of ours, or of its subject."""
        self.page.choose(tab)
        match tab:
            case "overview":
                self.page.expect_row(tab, self.rule.name)
            case "users" | "violations":
                self.page.narrow(tab, self.rule.name)
                if refused:
                    self.page.expect_row(tab, self.rule.name)
            case "analytics":
                self.page.expect_text(tab, r"Allowed\s*[1-9]")
            case "alerts":
                self.page.expect_text(tab, "violations_per_minute")
            case "health":
                self.page.expect_text(tab, re.escape(self.version))

    def _tabs_working(self, wrong: Mapping[str, str | None]) -> Measurement:
        tally = Tally()
        for tab, why in wrong.items():
            tally.add(f"{tab.title()}: {why}" if why else None)
        return self._saw("tabs_working", tally.good, "count", tally.tried, tally.wrong)

    def _remove_rule(self) -> None:
        self.page.choose("overview")
        self.page.delete_rule(self.rule.name)

    # Live -----------------------------------------------------------------------------------------

    def _live(self, within_s: float) -> Measurement:
        """See a refusal appear in Violations, where nobody does anything meanwhile."""
        if shut := _wrong(self.page.choose, "violations"):
            return self._held("live_update_seen", f"Violations: {shut}")
        rows, seq = self._refusals(), self.page.seq
        if unrefused := self.rule.be_refused():
            return self._held("live_update_seen", unrefused, n=0)
        refused_s = time.monotonic()
        if self.page.until(lambda: self._refusals() > rows and self.page.seq > seq, within_s):
            return self._held("live_update_seen", None, f"{time.monotonic() - refused_s:.1f} s after it was refused")
        missing = "Violations did not show it" if self.page.seq > seq else "the page got no message"
        return self._held("live_update_seen", f"{missing} within {within_s:g} s after a request was refused")

    def _refusals(self) -> int:
        return self.page.count("violations", self.rule.name)

    # Connection -----------------------------------------------------------------------------------

    def _reconnect(self, never_s: float) -> Iterator[Measurement]:
        took_s, why = self._come_back(never_s)
        yield self._held("reconnected", why, f"{took_s:.1f} s after it could")
        yield self._took(took_s)

    def _come_back(self, never_s: float) -> tuple[float, str | None]:
        """Cut the connection until the page says so; return how long it then took, and what was wrong."""
        if not self.page.until(self._connected, _NOTICED_WITHIN_S):
            return never_s, f"says {self.page.connection!r} before its connection was cut"
        with self.behaviour.outage():
            self.line.cut()
            noticed = self.page.until(lambda: not self._connected(), _NOTICED_WITHIN_S)
            self._picture("7-cut")
            self.line.mend()
            mended_s = time.monotonic()
            self.page.until(lambda: self.page.connection in ("connected", "offline"), never_s)
            took_s = time.monotonic() - mended_s
        if not noticed:
            return never_s, f"says 'connected' {_NOTICED_WITHIN_S:g} s after its connection was cut"
        if not self._connected():
            return never_s, f"says {self.page.connection!r} {took_s:.1f} s after it could connect again"
        seq = self.page.seq
        self.rule.be_refused()
        moves = self.page.until(lambda: self.page.seq > seq, _MESSAGE_WITHIN_S)
        return took_s, None if moves else f"connected, but no message came within {_MESSAGE_WITHIN_S:g} s"

    def _connected(self) -> bool:
        return self.page.connection == "connected"

    def _took(self, took_s: float) -> Measurement:
        return self._saw("reconnect", round(took_s, 3), "s")

    # What was seen --------------------------------------------------------------------------------

    def _held(self, name: str, wrong: str | None, otherwise: str = "", n: int = 1) -> Measurement:
        note = wrong or otherwise
        return self._saw(name, wrong is None, "bool", n, [note] if note else [])

    def _errors(self) -> Measurement:
        """Tell what the page should not have done, each thing once."""
        wrong = list(dict.fromkeys(self.behaviour.wrong))
        return self._saw("errors", len(wrong), "count", self.behaviour.asked, wrong)

    def _saw(self, name: str, value: Any, unit: str, n: int = 1, notes: Iterable[str] = ()) -> Measurement:
        """Return a measurement without the admin token, should the page have said it."""
        secret = self.target.admin_token
        clean = [note.replace(secret, REDACTED) if secret else note for note in notes]
        return self.watch.saw(f"dashboard.{name}", value, unit, n, _HOW[name], clean)

    def _picture(self, name: str) -> None:
        """Save what the page looks like, unless the admin token could be read in it."""
        if self.behaviour.shows_secret(self.page.text()):
            return
        if self.pictures:
            self.page.picture(self.pictures / f"{name}.jpg")


def _wrong(use: Callable[..., None], *arguments: Any) -> str | None:
    """Use the page; return what it does wrong."""
    try:
        use(*arguments)
    except Wrong as wrong:
        return str(wrong)
    return None
