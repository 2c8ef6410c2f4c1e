"""Parsing /metrics: accepts and refuses the same as Prometheus."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gaia_checks.model import Target
from gaia_checks.target import prometheus_text
from tests.support import plain_http

TEXT = """
# HELP asked_total How often "it" was asked, by \\\\ whom.
# TYPE asked_total counter
asked_total{by="ada, the first",how="a \\"quoted\\" }"} 3
asked_total{by="eve",} 4.5e1
# TYPE took_seconds histogram
# HELP took_seconds How long it took.
took_seconds_bucket{le="+Inf"} 2
took_seconds_sum 0.25
took_seconds_count 2
# HELP later_total What did not happen yet.
# TYPE later_total counter
# HELP sizes Of what.
# TYPE sizes summary
sizes{quantile="0.5"} NaN
# a remark
"""


def test_values_are_summed_over_the_other_labels() -> None:
    """Quotes, commas and braces within a label value belong to it."""
    said = prometheus_text.read(TEXT)
    assert said.total("asked_total", {}) == 48
    assert said.total("asked_total", {"by": "ada, the first"}) == 3
    assert said.total("asked_total", {"by": "nobody"}) == said.total("nothing", {}) == 0


def test_names_are_those_of_series_and_of_families_without_any() -> None:
    """A bare histogram name is no metric; a counter without an event is one."""
    names = prometheus_text.read(TEXT).names()
    assert names >= {"asked_total", "took_seconds_bucket", "took_seconds_sum", "later_total", "sizes", "sizes_count"}
    assert not names & {"asked", "took_seconds", "later"}


def test_labels_are_those_of_any_series() -> None:
    """A label that one series has is known."""
    said = prometheus_text.read(TEXT)
    assert said.labels("asked_total") == {"by", "how"}
    assert said.labels("later_total") == frozenset()


def test_what_is_described_has_no_fault() -> None:
    """Each family counts once, whatever its series are called."""
    assert list(prometheus_text.read(TEXT).faults()) == [None] * 4


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("up 1", "up has no TYPE and no HELP"),
        ("# TYPE up gauge\nup 1", "up has no HELP"),
        ("# HELP up Whether.\nup 1", "up has no TYPE"),
        ("# HELP a_count Many.\n# TYPE a_count gauge\na_count 1\n# TYPE a gauge\n# HELP a One.", None),
        (
            "# HELP up Whether.\n# TYPE up gauge\nup 1 1772100001000",
            "up has its own timestamps: Prometheus would use them",
        ),
    ],
)
def test_a_family_that_cannot_be_understood_is_named(text: str, fault: str | None) -> None:
    """The fault names the family and what it lacks."""
    found = [what for what in prometheus_text.read(text).faults() if what]
    assert found == [] if fault is None else found[0].startswith(fault)


@pytest.mark.parametrize(
    "line",
    [
        "<html>",
        "up",
        "up one",
        "up 1_000",
        "1up 1",
        'up{a="b} 1',
        'up{a=b"} 1',
        'up{a="b" c="d"} 1',
        'up{a-b="c"} 1',
        "up{} 1 soon",
        'up{a="b"} 1\nup{a="b"} 1',
        '{"status": "healthy"}',
    ],
)
def test_what_prometheus_would_refuse_is_refused(line: str) -> None:
    """The error quotes the line."""
    with pytest.raises(ValueError, match=re.escape(line.rpartition("\n")[2])):
        prometheus_text.read(f"# HELP up Whether.\n# TYPE up gauge\n{line}\n")


def test_the_real_metrics_are_read_as_others_read_them(server: Target) -> None:
    """Every sample that Prometheus' own client finds, with the same labels and value, and no other."""
    text = plain_http.get(f"{server.base_url}/metrics").text
    theirs = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    said = prometheus_text.read(text)
    ours = {
        (name, tuple(sorted(sample.labels.items()))): sample.value
        for name, series in said.samples.items()
        for sample in series
    }
    assert ours == theirs
    assert list(filter(None, said.faults())) == []
