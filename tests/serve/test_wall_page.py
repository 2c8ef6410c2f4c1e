"""The page as text, and as people look at it: in a browser, wide and narrow, light and dark, while things change."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from gaia_checks.deploy.reporting.history import Entry
from gaia_checks.probes.dashboard.browser import launched
from gaia_checks.promotion.environment_row import ELSEWHERE, EnvironmentRow
from gaia_checks.serve import wall_page
from gaia_checks.serve.board import Snapshot
from tests.serve.conftest import RUN, TOKEN, Start, gated

NOW = datetime(2026, 2, 27, 12, tzinfo=UTC)
CUT = """[...document.querySelectorAll("h2, .state, .verdict, .phase")].filter(one => {
    const text = document.createRange();
    text.selectNodeContents(one);
    return text.getBoundingClientRect().right > one.closest("article").getBoundingClientRect().right - 8;
}).map(one => one.textContent)"""
"""Words that reach beyond their card's padding."""

PROVOKED = "ERR_CONNECTION_REFUSED|status of 401|Content Security Policy|CORS policy|ERR_FAILED"
SLOW_MS = 30_000  # a browser on a busy machine


def deployed(outcome: str = "finished", what: str = "deploy", why: str | None = None) -> Entry:
    """A line of the history."""
    return Entry("2026-02-26T09:39:12.000Z", what, "phase-11.4", outcome, 21.4, "gaia", "0" * 40, why)


def rows() -> list[EnvironmentRow]:
    """One of each kind."""
    fail = gated(
        "qa",
        "fail",
        deployments=[deployed(), deployed("failed", why="verify: /health answers 503"), deployed(what="rollback")],
    )
    local = EnvironmentRow("local", "dev", "stopped")
    crashed = gated(
        "dev", "inconclusive", state="crashed", waiting="phase-11.5-with-a-name-that-is-long-enough-to-wrap"
    )
    away = gated(
        "prod",
        state=ELSEWHERE,
        following=None,
        since=None,
        remarks=["remote not reached, shown as last fetched: file:///srv/a"],
    )
    return [local, crashed, fail, away]


def shown(*rows: EnvironmentRow, now: datetime = NOW, at: datetime | None = NOW, fault: str | None = None) -> str:
    """The page's text."""
    return wall_page.document(Snapshot(rows, at, fault), now)


def notice(page: str) -> str:
    """What the page warns of."""
    found = re.search(r'<p id="notice" role="alert">(.*?)</p>', page)
    assert found
    return found[1]


def test_a_card_says_state_verdict_release_and_who_signed() -> None:
    """What is in service, which run found what and when, who let it in, what comes next, where the report is."""
    row = gated(deployments=[deployed()])
    assert row.verdict
    page = shown(row)
    for text in (
        '<h2>qa</h2><span class="state running">running</span>', '<p class="verdict">pass</p>',
        '<p class="phase">phase-11.4</p>', "gated 2026-02-26 10:00 UTC", f"run {RUN}, signed by gate-qa@example.org",
        '<b class="signed">signed</b> tag signed by ada@example.org; signed off: maintainer by ada@example.org',
        "<span>promote</span> <span>phase-11.4</span> <span>--to</span> <span>prod</span></code>",
        '<b class="finished">finished</b>', "21 s, by gaia",
    ):  # fmt: skip
        assert text in page
    assert "/reports/" not in page


def test_words_stand_where_there_is_no_verdict() -> None:
    """A release that was not gated, and an environment in which nothing is."""
    assert '<p class="verdict">not gated</p>' in shown(gated(verdict=None))
    assert '<p class="verdict">nothing here</p>' in shown(EnvironmentRow("qa", "qa", ELSEWHERE))


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (shown(gated()), ""),
        (shown(gated(), now=NOW + timedelta(seconds=30)), ""),
        (
            shown(gated(), now=NOW + timedelta(seconds=31)),
            "Not read since 2026-02-27 12:00:00 UTC: a git remote does not answer. What stands below is of then.",
        ),
        (shown(at=None), "The records are being read; this page shows them in a moment."),
        (shown(), "There is no file in environments/."),
        (shown(gated(), fault="OSError: <gone>"), "The records cannot be read: OSError: &lt;gone&gt;"),
    ],
)
def test_the_page_says_when_it_may_not_be_trusted(page: str, expected: str) -> None:
    """Old rows, none, or a fault; otherwise it warns of nothing."""
    assert notice(page) == expected


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of this file."""
    with launched() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page whose script and policy cause no error, but for answers that a test provokes."""
    page = chromium.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    page.close()
    assert [one for one in errors if not re.search(PROVOKED, one)] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_it_is_read_on_a_telephone_and_on_the_wall(
    page: Page, start: Start, tmp_path: Path, width: int, scheme: str
) -> None:
    """Nothing is cut or overlaps; each state is a word, large on the wall. The picture is kept with the test run."""
    page.set_viewport_size({"width": width, "height": 1080})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(start(*rows()).url)
    page.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CUT) == []
    expect(page.locator(".verdict")).to_have_text(["nothing here", "inconclusive", "fail", "pass"])
    expect(page.locator(".state")).to_have_text(["stopped", "crashed", "running", "elsewhere"])
    size = page.evaluate("parseFloat(getComputedStyle(document.querySelector('.fail .verdict')).fontSize)")
    assert size >= {390: 30, 1280: 36, 1920: 40}[width]


def test_it_prints_with_every_word(page: Page, start: Start, tmp_path: Path) -> None:
    """Two columns on paper, no card cut in two."""
    page.goto(start(*rows()).url)
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('main')).gridTemplateColumns").count(" ") == 1
    expect(page.locator(".verdict").nth(2)).to_be_visible()


def test_it_shows_what_changes_and_when_the_server_is_gone(page: Page, start: Start) -> None:
    """Without a reload: another verdict, a fault of the records, and a server that no longer answers."""
    page.clock.install()
    wall = start(gated())
    page.goto(wall.url)
    expect(page.locator(".verdict")).to_have_text("pass")
    expect(page.locator("#notice")).to_be_hidden()
    wall.rows[0] = gated("qa", "fail")
    page.clock.run_for(5_000)
    expect(page.locator(".verdict")).to_have_text("fail", timeout=SLOW_MS)
    wall.fault = "the disk is gone"
    step(page, "The records cannot be read: OSError: the disk is gone")
    wall.fault = None
    step(page, "")
    wall.server.shutdown()
    wall.server.server_close()
    step(page, r"^gaia serve does not answer\. What stands below is of .* UTC\.$")
    expect(page.locator("body")).to_have_class("gone")
    expect(page.locator(".verdict")).to_have_text("fail")


def step(page: Page, expected: str) -> None:
    """Let the page's time pass until it warns as expected."""
    for _ in range(20):
        page.clock.run_for(5_000)
        try:
            expect(page.locator("#notice")).to_have_text(re.compile(expected) if expected else "", timeout=1_500)
        except AssertionError:
            continue
        return
    expect(page.locator("#notice")).to_have_text(re.compile(expected))


def test_a_link_of_another_site_opens_it_with_the_token(page: Page, start: Start) -> None:
    """The strict cookie is not sent along with such a link; the page tries once more by itself."""
    wall = start(gated(), token=TOKEN)
    link = f'<a href="{wall.url}?token={TOKEN}">open</a><a href="{wall.url}">again</a>'
    page.route("http://elsewhere.test/", lambda route: route.fulfill(body=link, content_type="text/html"))
    for name in ("open", "again"):
        page.goto("http://elsewhere.test/")
        page.get_by_text(name).click()
        expect(page.locator(".verdict")).to_have_text("pass", timeout=SLOW_MS)
        assert TOKEN not in page.url


def test_without_the_token_a_browser_is_not_let_in(page: Page, start: Start) -> None:
    """It tries once more, then stays at the message."""
    wall = start(gated(), token=TOKEN)
    page.goto(wall.url)
    page.wait_for_url("**/?again", timeout=SLOW_MS)
    expect(page.locator("body")).to_contain_text("This page needs a token")


def test_a_report_runs_its_script_and_reaches_nothing_of_the_page(page: Page, start: Start, reports: Path) -> None:
    """Its own file works, its settings included; it reads neither the page nor its data, nor a cookie."""
    (reports / "qa").mkdir()
    (reports / "qa" / "report.html").write_text(
        "<!doctype html><p id=a></p><script>localStorage.a = 'drawn';"
        "document.getElementById('a').textContent = localStorage.a + document.cookie;"
        "fetch('/status.json').then(() => 'read', () => 'refused').then(one => { document.title = one })</script>"
    )
    wall = start(gated())
    page.goto(f"{wall.url}reports/qa/report.html")
    expect(page.locator("#a")).to_have_text("drawn")
    expect(page).to_have_title("refused")
