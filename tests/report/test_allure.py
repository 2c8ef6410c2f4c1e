"""The report for people: it agrees with the verdict and makes no network request."""

import base64
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route

from gaia_checks.errors import EvidenceError, MissingDependency
from gaia_checks.judge import criteria_file
from gaia_checks.model import State, Verdict
from gaia_checks.probes.dashboard import browser
from gaia_checks.report import allure, earlier_gates, render
from tests.report import past, sample

CRITERIA = criteria_file.load().criteria


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Verdict]:
    """An ended gate with its Allure results and its report."""
    folder, verdict = sample.ended_gate(tmp_path_factory.mktemp("reports"))
    allure.attach(folder, verdict, earlier_gates.read(folder, verdict))
    allure.render(folder)
    return folder, verdict


@pytest.fixture(scope="module")
def results(gate: tuple[Path, Verdict]) -> dict[str, Any]:
    """Criterion -> Allure result."""
    return {result["fullName"]: result for result in results_of(gate[0])}


def results_of(folder: Path) -> list[dict[str, Any]]:
    """The Allure results of a gate."""
    return [json.loads(path.read_text()) for path in (folder / "allure-results").glob("*-result.json")]


@pytest.fixture(scope="module")
def shown(gate: tuple[Path, Verdict]) -> Iterator[tuple[Page, list[str]]]:
    """The report in a real browser, and every request that it makes beyond its own file."""
    requested: list[str] = []

    def intercept(route: Route) -> None:
        requested.append(route.request.url)
        route.abort()

    with browser.launched() as chromium:
        page = chromium.new_page()
        page.route(re.compile(r"^(?!file:|data:|blob:)"), intercept)
        page.goto((gate[0] / "report.html").as_uri())
        page.locator("#app").get_by_text("Admin API accessible").first.wait_for(timeout=60_000)
        yield page, requested


def test_there_is_one_result_per_criterion(gate: tuple[Path, Verdict], results: dict[str, Any]) -> None:
    """A criterion without a test has a result, too; each state is the judge's."""
    words = {State.PASS: "passed", State.FAIL: "failed", State.INCONCLUSIVE: "broken", State.NOT_APPLICABLE: "skipped"}
    assert {name: result["status"] for name, result in results.items()} == {
        criterion.id: words[criterion.state] for criterion in gate[1].criteria
    }
    assert results.keys() == {criterion.id for criterion in CRITERIA}


def test_a_result_says_what_was_measured_and_why(results: dict[str, Any]) -> None:
    """Numbers as parameters, the reason as message, everything in the description."""
    result = results["dev.api"]
    assert {entry["name"]: entry["value"] for entry in result["parameters"]} == {
        "measured": "92.857 %", "bound": "–", "threshold": "100 %", "n": "14",
    }  # fmt: skip
    assert "status 500 instead of 200" in result["statusDetails"]["message"]
    assert "| ✓ | bad inputs that are rejected | 100 % | – | 100 % | 22 |" in result["description"]
    assert results["dev.health"]["statusDetails"] == {}


def test_what_does_not_apply_is_skipped_with_the_reason(results: dict[str, Any]) -> None:
    """Without numbers, and beside what was decided."""
    result = results["prod.certificate"]
    assert (result["status"], result["statusDetails"]["message"]) == ("skipped", "plain http")
    assert {entry["name"]: entry["value"] for entry in result["parameters"]}["measured"] == "–"


def test_a_result_lasts_until_it_was_decided(tmp_path: Path) -> None:
    """All begin with the gate, in the order of the criteria: so the report's time is the gate's."""
    folder, verdict = sample.ended_gate(tmp_path)
    stops = {result["fullName"]: result["stop"] for result in results_of(folder)}
    allure.attach(folder, verdict, earlier_gates.read(folder, verdict))
    found = {result["fullName"]: result for result in results_of(folder)}
    start_ms = int(datetime.fromisoformat(verdict.started_at).timestamp() * 1000)
    starts = [found[criterion.id]["start"] for criterion in verdict.criteria]
    assert starts == [start_ms + order for order in range(len(starts))]
    assert found["dev.api"]["stop"] == stops["suites.test_all#test_api"]
    assert found["prod.memory"]["stop"] == found["prod.memory"]["start"]  # it had no test


def test_a_result_carries_its_evidence(gate: tuple[Path, Verdict], results: dict[str, Any]) -> None:
    """Its measurements, the pictures of its look, and what its test attached; every file is there."""
    names = {name: [entry["name"] for entry in result["attachments"]] for name, result in results.items()}
    assert names["dev.health"] == ["dev.health evidence", "screenshot"]
    assert names["prod.latency"] == [
        "prod.latency evidence",
        "prod.latency load: p50, p99 (ms)",
        "prod.latency load: failures",
    ]
    assert "prod.memory memory: resident (MB)" in names["prod.memory"]
    for result in results.values():
        for entry in result["attachments"]:
            assert (gate[0] / "allure-results" / entry["source"]).stat().st_size


def test_the_decision_stands_before_the_details(shown: tuple[Page, list[str]]) -> None:
    """The first screen gives the verdict, the release and who may sign; what failed is the first row."""
    page, _ = shown
    decision = page.get_by_role("main", name="FAIL: local")
    assert page.evaluate("window.scrollY") == 0
    title = decision.get_by_role("heading", level=1)
    assert title.inner_text() == "✗ FAIL: local, stage prod, release phase-11.4"
    assert (title.bounding_box() or {"y": -1})["y"] in range(100)
    assert "no: only a pass is signed, and this is fail" in decision.inner_text()
    rows = decision.locator("tbody tr").all_inner_texts()
    assert len(rows) == len(CRITERIA)
    assert "dev.api: 1 of 14 wrong" in rows[0]
    assert "not applicable" in rows[-1]


def test_the_pictures_are_in_the_file(shown: tuple[Page, list[str]]) -> None:
    """Their bytes are the evidence's."""
    page, _ = shown
    source = page.locator("#gaia-decision img").get_attribute("src") or ""
    assert base64.b64decode(source.removeprefix("data:image/jpeg;base64,")) == sample.PICTURE
    assert page.locator("#gaia-decision figcaption").all_inner_texts() == ["health: page"]


@pytest.mark.parametrize("width", [390, 1280])
def test_no_screen_needs_to_be_scrolled_sideways(shown: tuple[Page, list[str]], width: int) -> None:
    """The decision fits a phone; only the chart scrolls, within itself."""
    page, _ = shown
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [cell.bounding_box() for cell in page.locator("#gaia-decision tbody td").all()]
    assert all(box["x"] + box["width"] <= width for box in boxes if box)


def test_the_run_is_described(gate: tuple[Path, Verdict]) -> None:
    """The report gives the verdict, stage, release and sha256, and whether the run was a rehearsal."""
    facts = (gate[0] / "allure-results" / "environment.properties").read_text()
    for line in ("verdict = FAIL", "stage = prod", "rehearsal = yes, promotes nothing", "phase = phase-11.4", "a" * 64):
        assert line in facts


def test_the_history_stands_between_the_chart_and_the_pictures(tmp_path: Path) -> None:
    """It is drawn from the gates beside this one."""
    past.gate(tmp_path, 0)
    folder, verdict = past.gate(tmp_path, 1, past.SLOW)
    allure.attach(folder, verdict, earlier_gates.read(folder, verdict))
    text = (folder / "allure-results" / "decision.html").read_text()
    assert re.findall(r"<h2>([^<]+)", text) == ["Criteria", "The gate over time", "History", "Every check"]
    assert f"fails since run {verdict.run} (commit 0000000), before: pass" in text


def test_attaching_twice_changes_nothing(gate: tuple[Path, Verdict]) -> None:
    """The results are the verdict's, however often they are written."""
    folder, verdict = gate

    def written() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (folder / "allure-results").iterdir()}

    before = written()
    allure.attach(folder, verdict, earlier_gates.read(folder, verdict))
    assert written() == before


def test_a_gate_without_any_test_has_a_report_too(tmp_path: Path) -> None:
    """The report of a gate without measurements has a result for every criterion."""
    folder, verdict = sample.ended_gate(tmp_path)
    for path in (folder / "allure-results").iterdir():
        path.unlink()
    (folder / "allure-results").rmdir()
    (folder / "measurements.jsonl").unlink()
    allure.attach(folder, verdict, earlier_gates.read(folder, verdict))
    assert len(list((folder / "allure-results").glob("*-result.json"))) == len(CRITERIA)


def test_the_verdict_is_the_first_thing_in_the_report(shown: tuple[Page, list[str]]) -> None:
    """Then the stages and their criteria, in the order in which they are promised."""
    page, _ = shown
    text = page.inner_text("body")
    counts = f"1 pass, 1 fail, {len(CRITERIA) - 4} inconclusive, 2 not applicable"
    assert f"FAIL: local, stage prod, phase-11.4 ({counts})" in text
    order = (
        "Stage 1: dev",
        "(dev.process)",
        "(dev.api)",
        "(dev.log)",
        "Stage 2: qa",
        "Stage 3: prod",
        "(prod.rollback)",
    )
    places = [text.index(name) for name in order]
    assert places == sorted(places)


def test_the_states_are_called_as_in_the_verdict(shown: tuple[Page, list[str]]) -> None:
    """Allure's "broken" is inconclusive, its "skipped" not applicable; no tab is empty."""
    page, _ = shown
    buttons = {button.inner_text() for button in page.locator("button:visible").all()}
    assert any(text.startswith("Inconclusive") for text in buttons)
    assert any(text.startswith("Not applicable") for text in buttons)
    for word in ("Broken", "Skipped", "Quality Gates", "Global Errors"):
        assert not any(text.startswith(word) for text in buttons)


def test_no_request_leaves_the_page(shown: tuple[Page, list[str]]) -> None:
    """Opening a criterion and its chart makes no request either."""
    page, requested = shown
    page.locator("#app").get_by_text("Response times").first.click()
    page.get_by_text("prod.latency load: p50").first.click()
    page.locator("img[src^='blob:'], img[src^='data:'], iframe, svg polyline").first.wait_for(timeout=60_000)
    page.wait_for_load_state("networkidle")
    assert requested == []


def test_nothing_external_is_loaded_by_the_file(gate: tuple[Path, Verdict]) -> None:
    """No script, style, picture or frame has an address outside the file; no analytics is left."""
    text = (gate[0] / "report.html").read_text()
    assert re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>", text) == []
    assert "googletagmanager" not in text
    assert "gtag(" not in text
    assert "Content-Security-Policy" in text


def test_analytics_is_taken_out_and_the_rest_stays() -> None:
    """Two scripts go, as Allure writes them; the page's own stay."""
    own = '<script>window.own = 1;</script>\n<script src="data:text/javascript;base64,AA=="></script>'
    page = (
        f"<html><head><title>x</title></head><body>{own}"
        '<script async src="https://www.googletagmanager.com/gtag/js?id=G-X"></script>'
        "<script>\nwindow.dataLayer = [];\nfunction gtag(){dataLayer.push(arguments);}\ngtag('js');\n</script>"
    )
    clean = render.offline(page)
    assert own in clean
    assert "gtag" not in clean


def test_without_allure_the_install_command_is_named(
    gate: tuple[Path, Verdict], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A missing report generator is not skipped silently."""
    monkeypatch.setattr(render, "CLI", tmp_path / "cli.js")
    with pytest.raises(MissingDependency, match="make install"):
        allure.render(gate[0])


def test_a_generator_that_fails_is_named(
    gate: tuple[Path, Verdict], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The message contains its last output line."""
    (tmp_path / "cli.js").write_text("console.error('out of paper'); process.exit(3)")
    monkeypatch.setattr(render, "CLI", tmp_path / "cli.js")
    with pytest.raises(EvidenceError, match=r"exit code 3\): out of paper"):
        allure.render(gate[0])


def test_results_without_a_verdict_are_not_rendered(tmp_path: Path) -> None:
    """A report without a verdict is refused."""
    (tmp_path / "allure-results").mkdir()
    with pytest.raises(EvidenceError, match="attach the verdict first"):
        allure.render(tmp_path)


def test_a_secret_in_results_would_be_in_the_report(gate: tuple[Path, Verdict]) -> None:
    """Why redaction comes before rendering: the report contains its attachments encoded, where no search finds them."""
    text = (gate[0] / "report.html").read_text().partition('id="app"')[2]
    assert "status 500 instead of 200" not in text
    assert any("status 500 instead of 200" in decoded for decoded in _decoded(text))


def _decoded(text: str) -> Iterator[str]:
    for blob in re.findall(r"[\"'`]([A-Za-z0-9+/]{200,}={0,2})[\"'`]", text):
        yield base64.b64decode(blob + "=" * (-len(blob) % 4)).decode("utf-8", "replace")
