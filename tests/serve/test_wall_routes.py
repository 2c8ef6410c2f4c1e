"""What each address answers, over real HTTP: to its readers, and to everybody else."""

import json
from pathlib import Path

import httpx
import pytest

from gaia_checks.serve.page_access import COOKIE
from tests.serve.conftest import TOKEN, Start, gated
from tests.support import plain_http

HOSTILE = "<script>document.title='owned'</script>\"'><img src=x onerror=alert(1)>\x1b[2J\u202e"


def test_the_page_and_its_data_are_the_overviews(start: Start) -> None:
    """The JSON is what `gaia status --all --json` prints."""
    wall = start(gated(), gated("prod", "fail"))
    page = wall.get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.text.count("<article") == 2
    data = wall.get("/status.json")
    assert data.headers["content-type"] == "application/json"
    assert data.json() == json.loads(json.dumps([row.to_json() for row in wall.rows]))
    assert [row["next"] for row in data.json()] == ["gaia promote phase-11.4 --to prod", "gaia history prod"]


def test_everything_that_others_wrote_is_escaped(start: Start) -> None:
    """A phase, a signer, a reason, a remark: text, never markup, and no character that steers or reorders it."""
    row = gated(
        phase=HOSTILE, promoted_by=HOSTILE, state=HOSTILE, promotion=HOSTILE, remarks=[HOSTILE], waiting=HOSTILE
    )
    row.environment = HOSTILE
    page = start(row).get("/").text
    assert "<script>document" not in page
    assert "<img" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert page.count("&lt;script&gt;document.title=&#x27;owned&#x27;") >= 6


@pytest.mark.parametrize(
    "path", ["/", "/status.json", "/page.css", "/page.js", "/reports/a.html", "/none", "/?token=x"]
)
def test_every_answer_forbids_what_it_does_not_need(start: Start, reports: Path, path: str) -> None:
    """No cache, no guess of a type, no source but its own, no frame around it."""
    (reports / "a.html").write_text("a report")
    headers = start(gated()).get(path).headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert (headers["referrer-policy"], headers["cross-origin-resource-policy"]) == ("no-referrer", "same-origin")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert ("unsafe" in policy) == ("sandbox" in policy) == (path == "/reports/a.html")
    assert headers["server"] == "gaia"


def test_a_report_is_served_and_what_is_beside_the_reports_is_not(start: Start, reports: Path) -> None:
    """The path is taken as it was sent, without the client's own tidying."""
    (reports / "qa").mkdir()
    (reports / "qa" / "report.html").write_text("the report")
    (reports.parent / "secret.json").write_text("secret")
    wall = start(gated())
    assert wall.get("/reports/qa/report.html").text == "the report"
    for path in (
        b"/reports/../secret.json",
        b"/reports/%2e%2e/secret.json",
        b"/reports/..%2fsecret.json",
        b"/../secret.json",
    ):
        url = httpx.URL(f"http://127.0.0.1:{wall.port}/").copy_with(raw_path=path)
        answer = plain_http.get(url)
        assert (answer.status_code, "secret\n" in answer.text) == (404, False)


@pytest.mark.parametrize("host", ["evil.test", "evil.test:8720", "127.0.0.1.evil.test"])
def test_a_rebound_name_reads_nothing(start: Start, host: str) -> None:
    """On loopback a request must name this machine."""
    answer = start(gated()).get("/status.json", Host=host)
    assert (answer.status_code, answer.text) == (403, "this page is for this machine: open it as localhost\n")


@pytest.mark.parametrize("path", ["/", "/status.json", "/page.css", "/page.js", "/reports/a.html", "/none"])
def test_with_a_token_nothing_is_shown_without_it(start: Start, reports: Path, path: str) -> None:
    """Not the page, not the data, not a report, and not whether it exists."""
    (reports / "a.html").write_text("a report")
    wall = start(gated(), host="0.0.0.0", token=TOKEN)
    for headers in ({}, {"Authorization": "Bearer another-token-of-24-chars"}, {"Cookie": f"{COOKIE}={TOKEN}"}):
        answer = wall.get(path, **headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "phase-11.4" not in answer.text
        assert "set-cookie" not in answer.headers
    assert wall.get(path, Authorization=f"Bearer {TOKEN}").status_code == (404 if path == "/none" else 200)


def test_the_token_in_the_address_becomes_a_cookie(start: Start) -> None:
    """Once: the redirect leads to an address without it, the cookie opens everything and is no script's."""
    wall = start(gated(), host="0.0.0.0", token=TOKEN)
    answer = wall.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"], answer.content) == (303, "/", b"")
    cookie = answer.headers["set-cookie"]
    assert cookie.partition("; ")[2] == "Path=/; HttpOnly; SameSite=Strict"
    assert TOKEN not in cookie
    assert wall.get("/status.json", Cookie=cookie.partition(";")[0]).status_code == 200


@pytest.mark.parametrize(
    "path", ["/?token=", "/?token=wrong", f"/?token={TOKEN}x", f"/status.json?token={TOKEN}", "/?again"]
)
def test_a_wrong_token_leads_nowhere(start: Start, path: str) -> None:
    """And the token is taken from the page's address only."""
    answer = start(gated(), host="0.0.0.0", token=TOKEN).get(path)
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    assert TOKEN not in answer.text


def test_data_that_cannot_be_read_is_no_data(start: Start) -> None:
    """A script that reads the JSON gets an error, never old rows; the page keeps them and says why."""
    wall = start(gated())
    assert wall.get("/status.json").status_code == 200
    wall.fault = "the disk is gone"
    answer = wall.get("/status.json")
    assert (answer.status_code, answer.text) == (503, "not read: OSError: the disk is gone\n")
    page = wall.get("/").text
    assert "The records cannot be read: OSError: the disk is gone" in page
    assert "phase-11.4" in page
