"""One walkthrough of the dashboard, step by step, and its measurements."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gaia_checks import contract
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.dashboard.page_events import PageEvents
from gaia_checks.probes.dashboard.page_object import PATH, TABS, Page, PageFault
from gaia_checks.probes.dashboard.probe_rule import OwnRule
from gaia_checks.probes.dashboard.tcp_proxy import TcpProxy
from gaia_checks.redaction import REDACTED
from gaia_checks.target.samples import Score, Watch

_BEYOND_S = 0.5  # the wait beyond the limit, so that a missing event is certainly too late
_QUIET_S = 0.3
_QUIET_WITHIN_S = 2.0  # a page that polls continuously is never quiet
_NOTICED_WITHIN_S = 5.0  # a browser detects a dropped connection at once
_MESSAGE_WITHIN_S = 6.0  # stats come every 5 s

_HOW = {
    "tabs_working": "each tab by mouse and by keyboard, with what must be in it",
    "live_update_observed": "a refusal appeared in Violations without a reload",
    "reconnected": "its connection cut, the page showed it, reconnected by itself and received messages",
    "reconnect": "from the restored network to the reconnected page",
    "rule_edited": "a rule made by the form, shown in the table, removed by its button; its dialogs closed by Escape",
    "errors": "script errors, failed requests, requests to other hosts, the admin token shown",
}


@dataclass(frozen=True)
class Walkthrough:
    """A page to operate, its events, and the folder of its screenshots."""

    target: Target
    token: str | None  # to sign in with
    version: str  # of the server
    page: Page
    events: PageEvents
    line: TcpProxy
    rule: OwnRule
    pictures: Path | None
    watch: Watch = field(default_factory=Watch)

    def all(self, live_within_s: float, reconnect_within_s: float) -> Iterator[Measurement]:
        """Run all steps, from the sign-in to the removal of the rule, and yield the measurements."""
        never_s = reconnect_within_s + _BEYOND_S
        if blocked := _wrong(self._sign_in):
            yield from self._all_failed(blocked, never_s)
            return
        made = _wrong(self.page.create_rule, self.rule.name)
        self.rule.make()
        unrefused = self.rule.be_refused()
        yield self._tabs(refused=unrefused is None)
        yield self._live(live_within_s)
        yield from self._reconnect(never_s)
        removed = _wrong(self._remove_rule)
        yield self._boolean("rule_edited", made or removed)
        yield self._errors()

    # Sign-in --------------------------------------------------------------------------------------

    def _sign_in(self) -> None:
        self.page.open(self.target.base_url + contract.path(self.target.names, PATH))
        if self.token:
            self.page.sign_in(self.token)
        self.events.signed_out = False

    def _all_failed(self, blocked: str, never_s: float) -> Iterator[Measurement]:
        """Yield the measurements of a page without a working sign-in."""
        yield self._tabs_working(dict.fromkeys(TABS, blocked))
        for name in ("live_update_observed", "reconnected", "rule_edited"):
            yield self._boolean(name, blocked)
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
        """Open a tab and check its required content, with the effects of this run's rule."""
        self.page.choose(tab)
        match tab:
            case "overview":
                self.page.expect_row(tab, self.rule.name)
            case "users" | "violations":
                self.page.narrow(tab, self.rule.name)
                if refused:
                    self.page.expect_only(tab, self.rule.name)
            case "analytics" if refused:
                self.page.expect(tab, "how many requests were Allowed", r"Allowed\s*[1-9]")
            case "alerts":
                self.page.expect(tab, "the alert violations_per_minute", "violations_per_minute")
            case "health":
                self.page.expect(tab, f"the version {self.version}", re.escape(self.version))

    def _tabs_working(self, wrong: Mapping[str, str | None]) -> Measurement:
        tally = Score()
        for tab, why in wrong.items():
            tally.add(f"{tab.title()}: {why}" if why else None)
        return self._measurement("tabs_working", tally.good, "count", tally.tried, tally.wrong)

    def _remove_rule(self) -> None:
        self.page.choose("overview")
        self.page.escape_dialogs(self.rule.name)
        self.page.delete_rule(self.rule.name)

    # Live -----------------------------------------------------------------------------------------

    def _live(self, within_s: float) -> Measurement:
        """Wait for a refusal to appear in Violations without any interaction."""
        if blocked := _wrong(self.page.choose, "violations"):
            return self._boolean("live_update_observed", f"Violations: {blocked}")
        self.page.until(lambda: self.events.quiet(_QUIET_S), _QUIET_WITHIN_S)  # its requests are answered and shown
        rows, seq = self._refusals(), self.page.seq
        if unrefused := self.rule.be_refused():
            return self._boolean("live_update_observed", unrefused, n=0)
        refused_s = time.monotonic()
        if self.page.until(lambda: self._refusals() > rows and self.page.seq > seq, within_s):
            return self._boolean(
                "live_update_observed", None, f"{time.monotonic() - refused_s:.1f} s after it was refused"
            )
        missing = "Violations did not show it" if self.page.seq > seq else "the page got no message"
        return self._boolean("live_update_observed", f"{missing} within {within_s:g} s after a request was refused")

    def _refusals(self) -> int:
        return self.page.count("violations", self.rule.name)

    # Connection -----------------------------------------------------------------------------------

    def _reconnect(self, never_s: float) -> Iterator[Measurement]:
        took_s, why = self._time_to_reconnect(never_s)
        yield self._boolean("reconnected", why, f"{took_s:.1f} s after it could")
        yield self._took(took_s)

    def _time_to_reconnect(self, never_s: float) -> tuple[float, str | None]:
        """Cut the connection until the page shows it; return the time to reconnect, and the fault."""
        if not self.page.until(self._connected, _NOTICED_WITHIN_S):
            return never_s, f"says {self.page.connection!r} before its connection was cut"
        with self.events.outage():
            self.line.cut()
            noticed = self.page.until(lambda: not self._connected(), _NOTICED_WITHIN_S)
            self._picture("7-cut")
            self.line.restore()
            restored_s = time.monotonic()
            self.page.until(lambda: self.page.connection in ("connected", "offline"), never_s)
            took_s = time.monotonic() - restored_s
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
        return self._measurement("reconnect", round(took_s, 3), "s")

    # Measurements ---------------------------------------------------------------------------------

    def _boolean(self, name: str, wrong: str | None, otherwise: str = "", n: int = 1) -> Measurement:
        note = wrong or otherwise
        return self._measurement(name, wrong is None, "bool", n, [note] if note else [])

    def _errors(self) -> Measurement:
        """Return the page's faults, each once."""
        wrong = list(dict.fromkeys(self.events.wrong))
        return self._measurement("errors", len(wrong), "count", self.events.requests, wrong)

    def _measurement(self, name: str, value: Any, unit: str, n: int = 1, notes: Iterable[str] = ()) -> Measurement:
        """Return a measurement; redact the admin token in its notes."""
        secret = self.target.admin_token
        clean = [note.replace(secret, REDACTED) if secret else note for note in notes]
        return self.watch.measurement(f"dashboard.{name}", value, unit, n, _HOW[name], clean)

    def _picture(self, name: str) -> None:
        """Save a screenshot, unless it shows the admin token."""
        if self.events.shows_secret(self.page.text()):
            return
        if self.pictures:
            self.page.picture(self.pictures / f"{name}.jpg")


def _wrong(use: Callable[..., None], *arguments: Any) -> str | None:
    """Operate the page; return its fault."""
    try:
        use(*arguments)
    except PageFault as wrong:
        return str(wrong)
    return None
