"""Every number that is written for people, read back, is within half a unit of its last digit."""

import json
import random
import re
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gaia_checks import tables
from gaia_checks.gate.display import dry_run
from gaia_checks.load.results import thresholds
from gaia_checks.load.views import compare
from gaia_checks.report import words
from gaia_checks.report.render import NODE
from tests.support.ground import ROOT

UNITS_S = {"d": 86400, "h": 3600, "min": 60, "s": 1}

COMPARED: list[Callable[[float], str]] = [
    lambda value: rows_of(latency=value)["p99"],
    lambda value: rows_of(rate=value)["rate"],
    lambda value: rows_of(requests=value)["requests"],
]
PLAIN: list[Callable[[float], str]] = [
    lambda value: words.amount(value, "ms"),
    lambda value: words.amount(value, "count"),
    lambda value: words.number(value, 3),
    thresholds._ms,  # noqa: SLF001 - private, and written for people
    lambda value: dry_run._count(value) if round(value) else "0",  # noqa: SLF001 - private, and written for people
    lambda value: tables._text(float(value)),  # noqa: SLF001 - private, and written for people
    *COMPARED,
]
SHARES: list[Callable[[float], str]] = [
    lambda value: words.amount(value, "ratio"),
    lambda value: rows_of(success=value)["success"],
]


def rows_of(
    *, latency: float | None = None, rate: float | None = None, requests: float = 0, success: float | None = None
) -> dict[str, str]:
    """Return figure -> text, as `compare` writes them."""
    latencies = dict.fromkeys(compare.PERCENTILES, latency)
    figures = compare.Figures("a", "locust", requests, rate, success, latencies, ())  # type: ignore[arg-type]
    return {what: first for what, first, *_ in compare.rows(figures, figures)}


def read(text: str) -> tuple[Decimal, Decimal]:
    """Return the number at the start of a text, and the unit of its last digit."""
    found = re.match(r"-?[\d,]+(?:\.\d+)?(?:e[+-]\d+)?", text)
    assert found, text
    number = Decimal(found.group().replace(",", ""))
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return number, Decimal(1).scaleb(exponent)


def assert_close(text: str, value: float) -> None:
    """Assert that the text says the value, to half a unit of its last digit."""
    number, unit = read(text)
    assert abs(number - Decimal(value)) <= unit / 2 * (1 + Decimal("1e-9")), (text, value)


numbers = st.floats(0, 1e12) | st.floats(0, 100) | st.integers(0, 10**9).map(float)


@pytest.mark.parametrize("write", PLAIN)
@given(value=numbers)
@example(value=5959.68)
@example(value=1999.6)
@example(value=1000.4)
@example(value=0.00004)
def test_a_number_is_written_as_it_is(write: Callable[[float], str], value: float) -> None:
    """Whatever its size, rounding and zeros."""
    assert_close(write(value), value)


@pytest.mark.parametrize("write", SHARES)
@given(value=st.floats(0, 1))
@example(value=0.99999999)
@example(value=0.0000004)
def test_a_share_is_written_in_percent(write: Callable[[float], str], value: float) -> None:
    """Between 0 and 100 %."""
    assert_close(write(value), 100 * value)


@given(value=st.floats(0.0005, 1e9))
def test_a_number_keeps_its_significant_digits(value: float) -> None:
    """Four of them: a small number does not become 0."""
    number, _ = read(words.amount(value, "ms"))
    assert abs(number / Decimal(value) - 1) <= Decimal("0.0005") * (1 + Decimal("1e-9"))


def assert_lasts(text: str, seconds: float) -> None:
    """Assert that `2 min 05 s` says so many seconds, to half of its smallest unit."""
    parts = re.findall(r"(\d+) (d|h|min|s)\b", text)
    assert parts, text
    said = sum(int(count) * UNITS_S[unit] for count, unit in parts)
    assert abs(said - seconds) <= UNITS_S[parts[-1][1]] / 2 + 1e-6, (text, seconds)


@given(seconds=st.floats(0, 1e7))
@example(seconds=59.6)
@example(seconds=3599.7)
def test_a_duration_is_written_as_it_is(seconds: float) -> None:
    """In minutes and seconds."""
    assert_lasts(words.duration(seconds), seconds)


def in_node(script: str, values: list[float]) -> list[list[str]]:
    """Run a module that defines `write`, a list of functions; return what each writes for each value."""
    code = f"{script}; console.log(JSON.stringify(write.map((each) => {json.dumps(values)}.map((v) => each(v)))))"
    done = subprocess.run(
        (NODE, "--input-type=module", "-e", code), capture_output=True, text=True, check=True, timeout=60
    )
    found: list[list[str]] = json.loads(done.stdout)
    return found


def spread(count: int) -> list[float]:
    """Return numbers of every size, the same in every run."""
    chance = random.Random(20)
    return [0, 1999.6, 5959.68, 0.0124996, 59.6, 3599.7, 86399.9, *(10 ** chance.uniform(-4, 7) for _ in range(count))]


def test_the_chart_of_a_load_says_what_it_shows() -> None:
    """The text below the pointer."""
    page = (ROOT / "gaia_checks" / "load" / "views" / "chart.html").read_text(encoding="utf-8")
    show = "\n".join(re.findall("const (?:digits|show) = .*", page))
    values = spread(2000)
    (written,) = in_node(f"{show}\nconst write = [(v) => show(v, 'ms')]", values)
    for text, value in zip(written, values, strict=True):
        assert_close(text, value)


def test_the_dashboard_says_what_it_shows() -> None:
    """Numbers, megabytes, percentages and durations."""
    module = Path(ROOT / "gaia_server" / "dashboard" / "format.js").as_uri()
    values = spread(2000)
    script = f"import * as f from {module!r}; const write = [f.number, f.decimal, f.megabytes, f.percent, f.duration]"
    *numbers, durations = in_node(script, values)
    for written, scale in zip(numbers, (1, 1, 1e-6, 100), strict=True):
        for text, value in zip(written, values, strict=True):
            assert_close(text, value * scale)
    for text, seconds in zip(durations, values, strict=True):
        assert_lasts(text, seconds)
