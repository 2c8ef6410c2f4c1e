"""The dashboard as a person uses it, by mouse and keyboard. It knows of the page what docs/contract.md promises.

Each way of using it raises Wrong when the page does not do as promised in time.
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
_GLANCE_MS = 200  # for what may not be there
_QUALITY = 70  # of a picture: small, and every letter can be read


_LEAST_S = 1.0


class Wrong(Exception):
    """What the page does not do as promised, as the end of a sentence about it."""


class Page:
    """An opened browser page. What it is waited for may take `within_s` seconds; half of that after each time in vain.

    A page that lacks one thing mostly lacks others, and a gate is not to wait minutes for all of them.
    """

    def __init__(self, page: Browsed, within_s: float) -> None:
        self._page = page
        self._wait_no_longer_than(within_s)

    def _wait_no_longer_than(self, within_s: float) -> None:
        self._within_s = within_s
        self._page.set_default_timeout(within_s * 1000)

    # Coming in -----------------------------------------------------------------------------------

    def open(self, url: str) -> None:
        """Load the page, wherever the target has it."""
        with self._in_time(f"GET {PATH} is not loaded"):
            response = self._page.goto(url)
        if response is None or response.status != 200:
            raise Wrong(f"GET {PATH} answered {response.status if response else 'nothing'}")

    def sign_in(self, token: str) -> None:
        """Give the token to the page, which must ask for it."""
        field = self._page.get_by_label("Admin token")
        with self._in_time("the page does not ask for the admin token"):
            field.fill(token)
        with self._in_time("signing in with the admin token leads nowhere"):
            self._button("Sign in").click()
            field.wait_for(state="hidden")

    # Tabs ----------------------------------------------------------------------------------------

    def choose(self, tab: str) -> None:
        """Click a tab and wait for its data."""
        with self._in_time("there is no such tab to click"):
            self._tab(tab).click()
        self._settle(tab)

    def walk(self, tab: str) -> None:
        """Go on to a tab from the one before it by the arrow key."""
        with self._in_time("not reached by the arrow key"):
            self._tab(TABS[TABS.index(tab) - 1]).press("ArrowRight")
            self._page.locator(f"{_named(tab)}:focus").wait_for()
        self._settle(tab)

    def narrow(self, tab: str, key: str) -> None:
        """Let a tab show one key only."""
        with self._in_time('has no field "Key" that narrows it to one key'):
            field = self._panel(tab).get_by_label("Key", exact=True)
            field.fill(key)
            field.press("Enter")

    def expect_row(self, tab: str, text: str) -> None:
        """Wait until a table of a tab has a row with this text."""
        with self._in_time(f"shows no row with {text}"):
            self._rows(tab, text).first.wait_for()

    def expect_only(self, tab: str, text: str) -> None:
        """Wait until the table of a tab that has such a row has no other."""
        self.expect_row(tab, text)
        table = self._panel(tab).get_by_role("table").filter(has_text=text).first
        with self._in_time(f"shows more than rows with {text}"):
            heading_and_others = table.get_by_role("row").filter(has_not_text=text)
            heading_and_others.nth(1).wait_for(state="hidden")

    def expect(self, tab: str, what: str, pattern: str) -> None:
        """Wait until a tab tells `what`, which the pattern finds in its text."""
        with self._in_time(f"does not tell {what}"):
            self._panel(tab).filter(has_text=re.compile(pattern)).wait_for()

    def count(self, tab: str, text: str) -> int:
        """Return how many rows with this text a tab shows now."""
        return self._rows(tab, text).count()

    def _settle(self, tab: str) -> None:
        """Wait until a tab is chosen and shows its data."""
        with self._in_time("it is not chosen, or its panel is not shown"):
            self._page.locator(f'{_named(tab)}[aria-selected="true"]').wait_for()
            self._panel(tab).wait_for()
        with self._in_time("the panel stayed busy"):
            self._panel(tab).and_(self._page.locator('[aria-busy="false"]')).wait_for()
        if self._alert.count():
            raise Wrong(f"the page says: {self._said()}")

    # Rules ---------------------------------------------------------------------------------------

    def create_rule(self, name: str) -> None:
        """Fill in the form: one request of the key of this name passes a minute."""
        form = self._page.get_by_role("dialog")
        with self._dialog_left(), self._in_time("the form for a new rule does not make one"):
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
        """Press its button, and confirm."""
        with self._dialog_left(), self._in_time("a rule is not removed by its button"):
            self._rows("overview", name).first.get_by_role("button", name="Delete").click()
            self._page.get_by_role("dialog").get_by_role("button", name="Delete").click()
            self._rows("overview", name).first.wait_for(state="hidden")

    @contextlib.contextmanager
    def _dialog_left(self) -> Iterator[None]:
        """Leave no dialog open that would be in the way of everything else."""
        try:
            yield
        except Wrong:
            self._page.keyboard.press("Escape")
            raise

    # Live ----------------------------------------------------------------------------------------

    @property
    def connection(self) -> str:
        """What the page says of its connection: connected, reconnecting, offline, or nothing at all."""
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
        """Wait until something has happened; return whether it has."""
        deadline_s = time.monotonic() + within_s
        while not happened():
            if time.monotonic() > deadline_s:
                return False
            self._page.wait_for_timeout(_POLL_MS)
        return True

    # Pictures ------------------------------------------------------------------------------------

    def text(self) -> str:
        """Return all that can be read on the page."""
        return self._page.locator("body").inner_text()

    def picture(self, path: Path) -> None:
        """Save what the page looks like."""
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

    def _said(self) -> str:
        """Return what the page says has gone wrong; empty when it says nothing."""
        try:
            return self._alert.first.inner_text(timeout=_GLANCE_MS)
        except TooLate:
            return ""

    @contextlib.contextmanager
    def _in_time(self, otherwise: str) -> Iterator[None]:
        try:
            yield
        except TooLate:
            said, waited_s = self._said(), self._within_s
            self._wait_no_longer_than(max(_LEAST_S, waited_s / 2))
            raise Wrong(f"{otherwise} within {waited_s:g} s" + (f"; it says: {said}" if said else "")) from None


def _named(tab: str) -> str:
    return f'[role="tab"][data-tab="{tab}"]'
