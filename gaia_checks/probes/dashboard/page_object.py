"""Page object of the dashboard: operates it by mouse and keyboard, and relies only on docs/contract.md.

Each operation raises PageFault when the page does not respond as promised in time.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Locator
from playwright.sync_api import Page as Browsed
from playwright.sync_api import TimeoutError as TooLate

PATH = "/admin/quotas"
TABS = ("overview", "users", "analytics", "violations", "alerts", "health")
"""In their order on the page."""

_POLL_MS = 50
_GLANCE_MS = 200  # for elements that may be absent
_QUALITY = 70  # of a screenshot: small, with legible text


_LEAST_S = 1.0


class PageFault(Exception):
    """The page breaks a promise. The text is the end of a sentence about the page."""


class Page:
    """An opened browser page. Each wait takes at most `within_s` seconds; every timeout halves that.

    A page that lacks one element mostly lacks others, and a gate must not wait minutes for all of them.
    """

    def __init__(self, page: Browsed, within_s: float) -> None:
        self._page = page
        self._wait_no_longer_than(within_s)

    def _wait_no_longer_than(self, within_s: float) -> None:
        self._within_s = within_s
        self._page.set_default_timeout(within_s * 1000)

    # Sign-in ----------------------------------------------------------------------------------------

    def open(self, url: str) -> None:
        """Load the page from its URL at the target."""
        with self._in_time(f"GET {PATH} is not loaded"):
            response = self._page.goto(url)
        if response is None or response.status != 200:
            raise PageFault(f"GET {PATH} answered {response.status if response else 'nothing'}")

    def sign_in(self, token: str) -> None:
        """Enter the token in the page's sign-in form."""
        field = self._page.get_by_label("Admin token")
        with self._in_time("the page does not request the admin token"):
            field.fill(token)
        with self._in_time("sign-in with the admin token has no effect"):
            self._button("Sign in").click()
            field.wait_for(state="hidden")

    # Tabs ----------------------------------------------------------------------------------------

    def choose(self, tab: str) -> None:
        """Click a tab and wait for its data."""
        with self._in_time("the tab does not exist"):
            self._tab(tab).click()
        self._settle(tab)

    def walk(self, tab: str) -> None:
        """Move to a tab from the previous one by the arrow key."""
        with self._in_time("not reached by the arrow key"):
            self._tab(TABS[TABS.index(tab) - 1]).press("ArrowRight")
            self._page.locator(f"{_named(tab)}:focus").wait_for()
        self._settle(tab)

    def narrow(self, tab: str, key: str) -> None:
        """Filter a tab to one key."""
        with self._in_time('has no field "Key" that narrows it to one key'):
            field = self._panel(tab).get_by_label("Key", exact=True)
            field.fill(key)
            field.press("Enter")

    def expect_row(self, tab: str, text: str) -> None:
        """Wait until a table of a tab has a row with this text."""
        with self._in_time(f"shows no row with {text}"):
            self._rows(tab, text).first.wait_for()

    def expect_only(self, tab: str, text: str) -> None:
        """Wait until the table with this row has no other row."""
        self.expect_row(tab, text)
        table = self._panel(tab).get_by_role("table").filter(has_text=text).first
        with self._in_time(f"shows more than rows with {text}"):
            heading_and_others = table.get_by_role("row").filter(has_not_text=text)
            heading_and_others.nth(1).wait_for(state="hidden")

    def expect(self, tab: str, what: str, pattern: str) -> None:
        """Wait until the pattern matches a tab's text; `what` names it in the fault."""
        with self._in_time(f"does not show {what}"):
            self._panel(tab).filter(has_text=re.compile(pattern)).wait_for()

    def count(self, tab: str, text: str) -> int:
        """Return how many rows with this text a tab shows now."""
        return self._rows(tab, text).count()

    def _settle(self, tab: str) -> None:
        """Wait until a tab is chosen and shows its data."""
        with self._in_time("it is not selected, or its panel is hidden"):
            self._page.locator(f'{_named(tab)}[aria-selected="true"]').wait_for()
            self._panel(tab).wait_for()
        with self._in_time("the panel stayed busy"):
            self._panel(tab).and_(self._page.locator('[aria-busy="false"]')).wait_for()
        if self._alert.count():
            raise PageFault(f"the page says: {self._alert_text()}")

    # Rules ---------------------------------------------------------------------------------------

    def create_rule(self, name: str) -> None:
        """Create a rule in the form: one request a minute for the key of this name."""
        form = self._page.get_by_role("dialog")
        with self._dialog_left(), self._in_time("the form for a new rule creates none"):
            self._button("New rule").click()
            form.get_by_label("Name").fill(name)
            form.get_by_label("At most").fill("1")
            form.get_by_label("Requests per").select_option("requests_per_minute")
            form.get_by_label("Counted for").select_option("api_key")
            form.get_by_label("Only for").fill(name)
            form.get_by_role("button", name="Save").click()
            form.wait_for(state="hidden")
        self.expect_row("overview", name)

    def delete_rule(self, name: str) -> None:
        """Press the rule's delete button, and confirm."""
        with self._dialog_left(), self._in_time("a rule is not removed by its button"):
            self._rows("overview", name).first.get_by_role("button", name="Delete").click()
            self._page.get_by_role("dialog").get_by_role("button", name="Delete").click()
            self._rows("overview", name).first.wait_for(state="hidden")

    def escape_dialogs(self, name: str) -> None:
        """Open the form for a new rule, then the dialog that removes this one; close each by Escape."""
        dialog = self._page.get_by_role("dialog")
        for button in (
            self._button("New rule"),
            self._rows("overview", name).first.get_by_role("button", name="Delete"),
        ):
            with self._dialog_left(), self._in_time("a dialog is not closed by Escape"):
                button.click()
                dialog.wait_for()
                self._page.keyboard.press("Escape")
                dialog.wait_for(state="hidden")

    @contextlib.contextmanager
    def _dialog_left(self) -> Iterator[None]:
        """Close the dialog after a fault, so that it does not block later steps."""
        try:
            yield
        except PageFault:
            self._page.keyboard.press("Escape")
            raise

    # Live ----------------------------------------------------------------------------------------

    @property
    def connection(self) -> str:
        """The connection state that the page shows: connected, reconnecting, offline, or empty."""
        try:
            return self._page.locator("[data-connection]").first.get_attribute("data-connection") or ""
        except TooLate:
            return ""

    @property
    def seq(self) -> int:
        """The number of the newest message; 0 when there is none."""
        try:
            return int(self._page.locator('[data-live="seq"]').first.text_content() or "")
        except (TooLate, ValueError):
            return 0

    def until(self, happened: Callable[[], bool], within_s: float) -> bool:
        """Wait until `happened` returns true; return whether it did."""
        deadline_s = time.monotonic() + within_s
        while not happened():
            if time.monotonic() > deadline_s:
                return False
            self._page.wait_for_timeout(_POLL_MS)
        return True

    # Screenshots ------------------------------------------------------------------------------------

    def text(self) -> str:
        """Return all visible text of the page."""
        return self._page.locator("body").inner_text()

    def picture(self, path: Path) -> None:
        """Save a screenshot."""
        self._page.screenshot(path=path, type="jpeg", quality=_QUALITY, animations="disabled")

    # Parts ---------------------------------------------------------------------------------------

    def _tab(self, tab: str) -> Locator:
        return self._page.locator(_named(tab))

    def _panel(self, tab: str) -> Locator:
        return self._page.locator(f'[id="{self._tab(tab).get_attribute("aria-controls")}"]')

    def _rows(self, tab: str, text: str) -> Locator:
        return self._panel(tab).get_by_role("row").filter(has_text=text)

    def _button(self, name: str) -> Locator:
        return self._page.get_by_role("button", name=name, exact=True)

    @property
    def _alert(self) -> Locator:
        return self._page.get_by_role("alert").filter(has_text=re.compile(r"\S"))

    def _alert_text(self) -> str:
        """Return the page's alert text; empty without an alert."""
        try:
            return self._alert.first.inner_text(timeout=_GLANCE_MS)
        except TooLate:
            return ""

    @contextlib.contextmanager
    def _in_time(self, otherwise: str) -> Iterator[None]:
        try:
            yield
        except TooLate:
            alert, waited_s = self._alert_text(), self._within_s
            self._wait_no_longer_than(max(_LEAST_S, waited_s / 2))
            raise PageFault(f"{otherwise} within {waited_s:g} s" + (f"; it says: {alert}" if alert else "")) from None


def _named(tab: str) -> str:
    return f'[role="tab"][data-tab="{tab}"]'
