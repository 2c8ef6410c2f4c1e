"""The report's section History."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page

from gaia_checks.model import Verdict
from gaia_checks.probes.dashboard import browser
from gaia_checks.report import decision, earlier_gates, evidence, history_section
from tests.report import past

CRITERIA = past.CRITERIA.criteria


def section(gate: tuple[Path, Verdict]) -> str:
    """The section of a gate."""
    return history_section.section(earlier_gates.read(*gate), CRITERIA)


def row(text: str, criterion: str) -> str:
    """The words of a criterion's row."""
    [found] = [each for each in re.findall(r"<tr.*?</tr>", text) if f"<small>{criterion}:" in each]
    return " ".join(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", found).replace("\N{NO-BREAK SPACE}", " ").split())


def test_a_gate_without_earlier_ones_says_so(tmp_path: Path) -> None:
    """And how many could not be read."""
    gate = past.gate(tmp_path, 1)
    assert section(gate) == "<h2>History</h2><p>No earlier gate of local has its evidence beside this one.</p>"
    (gate[0].parent / "torn").mkdir()
    assert section(gate).endswith(" Left out: 1 that could not be read.</p>")


def test_every_criterion_has_its_values_and_since_when(tmp_path: Path) -> None:
    """What failed comes first, with the check that failed, in all gates."""
    past.gate(tmp_path, 0, {"websocket.first_stats": 2.5})
    text = section(past.gate(tmp_path, 1, past.SLOW))
    claims = re.findall(r"<small>([a-z._]+):", text)
    assert claims[0] == "dev.websocket"
    assert sorted(claims) == sorted(each.id for each in past.CRITERIA.for_stage("dev"))
    assert row(text, "dev.websocket") == (
        "WebSocket connects without error dev.websocket: time to the first stats, required: ≤ 6 s 2.5 s 9 s "
        f"✗ fails since run {past.run(1)} (commit 0000000), before: pass"
    )
    assert row(text, "dev.process").endswith("yes yes ✓ pass in both runs since 2026-02-26")


def test_a_threshold_that_changed_is_named(tmp_path: Path) -> None:
    """A value is read beside what was required of it."""
    past.gate(tmp_path, 0, past.SLOW, required=("threshold = 6,", "threshold = 60,"))
    text = section(past.gate(tmp_path, 1, past.SLOW))
    assert "required: ≤ 6 s; until gate 1: ≤ 60 s 9 s 9 s ✗ fails since" in row(text, "dev.websocket")
    assert "until gate" not in row(text, "dev.health")


def test_a_gate_that_measured_nothing_keeps_the_picture(tmp_path: Path) -> None:
    """The check is then that of the newest gate with one."""
    past.gate(
        tmp_path, 0, {"websocket.first_stats": 5.5, "websocket.first_heartbeat": 1.0, "websocket.stats_at_once": 0.1}
    )
    folder, verdict = past.gate(tmp_path, 1)
    cut_short = tuple(replace(each, checks=(), measured=None, n=0) for each in verdict.criteria)
    text = section((folder, replace(verdict, criteria=cut_short)))
    assert "time to the first stats, required: ≤ 6 s 5.5 s – ✓ pass" in row(text, "dev.websocket")


def test_all_gates_are_listed(tmp_path: Path) -> None:
    """Number, time, run, release, stage, rehearsal or not, verdict."""
    past.gate(tmp_path, 0, past.SLOW, rehearsal=True)
    rows = section(past.gate(tmp_path, 1, commit="1" * 40)).rpartition("<tbody>")[2]
    cells = [re.findall(r"<td[^>]*>([^<]*)</td>", each) for each in rows.split("</tr>")[:2]]
    built = [f"phase-1, commit {digit * 7}, sha256 {digit * 12}" for digit in "01"]
    assert cells == [
        ["1", "2026-02-26 10:00", past.run(0), built[0], "dev, rehearsal", "✗ fail"],
        ["2", "2026-02-27 10:00", past.run(1), built[1], "dev", "✓ pass"],
    ]


def test_a_verdict_beside_it_cannot_write_into_the_page(tmp_path: Path) -> None:
    """Its names are text."""
    earlier, written = past.gate(tmp_path, 0)
    attack = "</template><script>alert(1)</script>"
    assert written.release
    unit = replace(written.criteria[0].checks[0], measurement="x", unit=attack, relation=attack)
    criteria = tuple(replace(each, checks=(unit,)) for each in written.criteria)
    release = replace(written.release, phase=attack, commit=attack)
    evidence.write_verdict(earlier, replace(written, run=attack, release=release, criteria=criteria), {})
    folder, verdict = past.gate(tmp_path, 1, past.SLOW)
    unmeasured = tuple(replace(each, checks=()) for each in verdict.criteria)  # the checks shown are then the forged
    text = section((folder, replace(verdict, criteria=unmeasured)))
    assert "The 2 gates" in text
    assert text.count("&lt;script&gt;") > 2
    assert "<script" not in text
    assert "</template" not in text


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The first page of the report after more gates than a history has, in a real browser."""
    reports = tmp_path_factory.mktemp("reports")
    for day in range(earlier_gates.MOST + 5):
        values = {"websocket.first_stats": 2 + 1.2 * (day % 5)}
        gate = past.gate(reports, day, values, commit=str(day % 3) * 40, rehearsal=day % 4 == 1)
    text = decision.document(gate[1], CRITERIA, "<svg/>", section(gate), [])
    path = reports / "page.html"
    path.write_text(f'<!doctype html><div><template shadowrootmode="open">{text}</template></div>')
    with browser.launched() as chromium:
        page = chromium.new_page()
        page.goto(path.as_uri())
        yield page


@pytest.mark.parametrize("width", [390, 1280])
def test_the_history_fits_the_screen(shown: Page, width: int) -> None:
    """Each row with its picture, and the list of gates; nothing scrolls sideways."""
    shown.set_viewport_size({"width": width, "height": 900})
    shown.emulate_media(media="screen")
    shown.locator(".gates").evaluate("each => { each.open = true; }")
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    parts = shown.locator(".history td, .history svg, .key span, .gates td").all()
    assert len(parts) > 100
    boxes = [box for part in parts if (box := part.bounding_box())]
    assert all(box["x"] + box["width"] <= width for box in boxes)


def test_the_history_prints_whole(shown: Page) -> None:
    """On paper the list of gates is unfolded, and a row is not broken."""
    shown.set_viewport_size({"width": 700, "height": 900})
    shown.emulate_media(media="print")
    shown.locator(".gates").evaluate("each => { each.open = false; }")
    assert shown.locator(".gates").get_by_text(past.run(24)).is_visible()
    parts = shown.locator(".history td, .history svg, .gates td").all()
    boxes = [box for part in parts if (box := part.bounding_box())]
    assert all(box["x"] + box["width"] <= 700 for box in boxes)
    assert shown.locator(".history tr").first.evaluate("each => getComputedStyle(each).breakInside") == "avoid"
