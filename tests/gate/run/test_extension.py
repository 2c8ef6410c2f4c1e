"""The load is extended while it is undecided: judged on the measurements alone, and in a real gate."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaia_checks.gate.run import extension
from gaia_checks.judge.analyses import ends_s
from gaia_checks.load.results.measurements import looked
from gaia_checks.model import Check, Criterion, Measurement
from gaia_checks.report import evidence
from tests.support.ground import Ground, ground

SUCCESS = Check("load.outcomes", "proportion", 0.9995, "ratio")
SERVED = Check("load.served_of_sent", "at_least", 0.999, "ratio")

EXTENDED = """
[looks.health]
requests = 1
spacing_s = 0.02

[looks.load]
rate_per_s = 50
window_s = 5
max_window_s = 60
"""


def criterion(name: str, check: Check) -> Criterion:
    """Make a criterion of the load that is analysed after 60, 120 and 240 s."""
    return Criterion(name, "It works", "load", 60, 240, ends_s(60, 240), (check,))


CRITERIA = [criterion("qa.load", SERVED), criterion("prod.success_rate", SUCCESS)]


def look(number: int, failures: int, n: int) -> list[Measurement]:
    """Return the measurements of one analysis of the load."""
    window_s = CRITERIA[0].looks_s[number - 1]

    def measured(name: str, value: object) -> Measurement:
        return Measurement(f"load.{name}", value, "", n, window_s, "2026-02-26T10:00:00.000Z", "measured")

    blocks = {"failures": failures, "blocks": [[n, failures]]}
    return [measured("served_of_sent", 1.0), measured("outcomes", blocks), looked(number, window_s)]


@pytest.mark.parametrize(
    ("looks", "still"),
    [
        ([(0, 6_000)], ["prod.success_rate"]),
        ([(0, 9_000)], []),
        ([(0, 6_000), (0, 12_000)], []),
        ([(1, 6_000), (6, 12_000)], ["prod.success_rate"]),
        ([(1, 6_000), (6, 12_000), (12, 24_000)], []),
        ([(90, 6_000)], []),
    ],
)
def test_a_criterion_is_open_while_a_longer_sample_may_decide(looks: list[tuple[int, int]], still: list[str]) -> None:
    """A passed or failed criterion is not open, and after the last analysis none is."""
    measurements = [each for number, counts in enumerate(looks, start=1) for each in look(number, *counts)]
    assert extension.open_criteria(CRITERIA, measurements, rehearsal=False) == still


def test_every_analysis_is_judged_once_until_one_decides() -> None:
    """The first analysis is open, the second decides: the load is stopped once, and both are marked."""
    marks: list[str] = []
    measurements = look(1, 0, 6_000)
    stopped = threading.Event()

    def mark(label: str) -> None:
        marks.append(label)
        measurements.extend(look(2, 0, 12_000) if len(marks) == 1 else [])

    extension.watch(CRITERIA, lambda: measurements, threading.Event(), rehearsal=False, mark=mark, enough=stopped.set)
    assert stopped.is_set()
    assert marks == ["analysis 1: prod.success_rate undecided, continues", "analysis 2: decided"]


def test_a_closing_gate_waits_for_no_analysis() -> None:
    """Closing the gate ends the wait."""
    closing = threading.Event()
    closing.set()
    extension.watch(CRITERIA, list, closing, rehearsal=False, mark=print, enough=pytest.fail)


@pytest.fixture(scope="module")
def place(executable: Path) -> Iterator[Ground]:
    """Deploy a server on this machine."""
    with ground() as made:
        made.deploy(executable, made.environment_file())
        yield made


def test_a_gate_extends_its_load_until_it_is_decided(place: Ground) -> None:
    """250 requests give p99 no bound, 900 do: the load is extended, and the evidence names the deciding analysis.

    There is nothing to extend only if a busy machine made the generator unreliable.
    """
    file = place.environment_file(base_url=place.url)
    text = file.read_text()
    file.write_text(text[: text.index("[looks.")] + EXTENDED)
    outcome = place.gate(file, "--stage=prod", "-k", "latency")
    file.write_text(text)
    why = next(each["why"] for each in outcome.verdict["criteria"] if each["id"] == "prod.latency")
    records = map(json.loads, (outcome.folder / "measurements.jsonl").read_text().splitlines())
    looks = [record["window_s"] for record in records if record["name"] == "load.latency"]
    assert looks in ([5], [5, 18], [5, 18, 60]), outcome.output
    assert (looks == [5]) is ("the load generator is unreliable" in why), why
    assert f"analysis {len(looks)} of 3, after {looks[-1]:g} s" in why
    again = evidence.recompute(outcome.folder)
    assert why in [each.why for each in again.criteria]
    picture = (outcome.folder / "load.html").read_text()
    assert ("analysis 1: prod.latency undecided, continues" in picture) is (len(looks) > 1)
